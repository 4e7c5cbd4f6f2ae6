//! One file per verb; nested verbs are folders. A new verb is a file and a
//! line in the table of its folder; what its help says stands on its struct.

pub mod anchor;
pub mod attest;
pub mod audit;
pub mod backup;
pub mod completions;
pub mod config;
pub mod crypto;
pub mod db;
pub mod demo;
pub mod doctor;
pub mod files;
pub mod init;
pub mod keys;
pub mod later;
pub mod man;
pub mod proof;
pub mod serve;
pub mod token;
pub mod trust;
pub mod verify;

use serde::Serialize;
use serde_json::Value;

use crate::context::{Context, Outcome};
use crate::error::CliError;

/// A folder's table of verbs: the parser's enum and its dispatch.
macro_rules! verbs {
    ($($(#[$meta:meta])* $variant:ident($args:ty)),+ $(,)?) => {
        // Parsed once and moved once: a box would buy nothing.
        #[allow(clippy::large_enum_variant)]
        #[derive(clap::Subcommand)]
        pub enum Verb {
            $($(#[$meta])* $variant($args)),+
        }

        impl Verb {
            pub async fn run(self, context: &$crate::context::Context) -> $crate::context::Outcome {
                match self {
                    $(Self::$variant(args) => Box::pin(args.run(context)).await),+
                }
            }
        }
    };
}
pub(crate) use verbs;

/// The answer with an `id` beside what else identifies it.
fn with_id<T: Serialize>(value: &T, id: &str) -> Result<Value, CliError> {
    let failed = |e| CliError::failed("cli.output", format!("the answer cannot be written: {e}"));
    let mut value = serde_json::to_value(value).map_err(failed)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("id".to_owned(), Value::from(id));
    }
    Ok(value)
}

verbs! {
    Init(init::Init),
    Serve(serve::Serve),
    /// Signing keys and their life
    #[command(subcommand, name = "keys", visible_alias = "key")]
    Keys(keys::Verb),
    /// Trust anchors: whose signatures count for what
    #[command(subcommand, name = "anchor", visible_aliases = ["anchors", "trust-anchors", "trust-anchor"])]
    Anchor(anchor::Verb),
    /// Sign evidence, and look after what was signed
    #[command(subcommand)]
    Attest(attest::Verb),
    Verify(verify::Verify),
    /// Proofs: what is attested about one subject, under one signature
    #[command(subcommand, name = "proof", visible_alias = "proofs")]
    Proof(proof::Verb),
    /// Settings and where their values come from
    #[command(subcommand)]
    Config(config::Verb),
    /// Who did what, and when
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Algorithms and the stores that sign with them
    #[command(subcommand)]
    Crypto(crypto::Verb),
    /// Access tokens of the server
    #[command(subcommand, name = "token", visible_alias = "tokens")]
    Token(token::Verb),
    /// What verifiers take along that cannot ask an instance
    #[command(subcommand)]
    Trust(trust::Verb),
    /// Backups of the home, encrypted
    #[command(subcommand)]
    Backup(backup::Verb),
    /// The store
    #[command(subcommand)]
    Db(db::Verb),
    Doctor(doctor::Doctor),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(hide = true)]
    Feed(later::Later),
    #[command(hide = true)]
    Rekor(later::Later),
    #[command(hide = true)]
    Issuer(later::Later),
}

impl Verb {
    /// Done at once where no instance is needed: no runtime, no threads.
    // Handed back whole where it is.
    #[allow(clippy::result_large_err)]
    pub fn here(self, context: &Context) -> Result<Outcome, Self> {
        match self {
            Self::Verify(verify) => verify.here(context).map_err(Self::Verify),
            Self::Trust(trust) => trust.here(context).map_err(Self::Trust),
            other => Err(other),
        }
    }
}
