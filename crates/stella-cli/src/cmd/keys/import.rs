//! `keys import`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::keys::{ImportKey, Key};

use crate::api::Route;
use crate::args::time::Moment;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Bring in a key made elsewhere: a public key to verify with, or with a
/// profile a private key to sign with, given, on a token or in AWS KMS
#[derive(Args)]
pub struct Import {
    /// Your name for it, unique for ever
    #[arg(long = "key-id", value_name = "KEY_ID")]
    key_id: String,
    /// The profile that will sign with it
    #[arg(long)]
    profile: Option<String>,
    /// The public key: PEM, or base64 of DER
    #[arg(
        long,
        alias = "public",
        value_name = "FILE",
        required_unless_present_any = ["private_key", "key_store"]
    )]
    public_key: Option<PathBuf>,
    /// The private key: PKCS#8 PEM; sealed at once, never given out again
    #[arg(long, alias = "private", value_name = "FILE", requires = "profile")]
    private_key: Option<PathBuf>,
    /// Where the private key is and stays, such as
    /// 'hsm://pkcs11/token/TOKEN?object=LABEL&id=%0A' or kms://aws/key/ALIAS
    #[arg(
        long,
        value_name = "URI",
        requires = "profile",
        conflicts_with = "private_key"
    )]
    key_store: Option<String>,
    /// Take a key that its token would give out
    #[arg(long, requires = "key_store")]
    allow_extractable: bool,
    /// When it was made
    #[arg(long, value_name = "TIME")]
    created_at: Option<Moment>,
    /// Signs only when the active key cannot
    #[arg(long)]
    standby: bool,
}

impl Import {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = ImportKey {
            key_id: self.key_id,
            profile: self.profile,
            public_key: self.public_key.as_deref().map(files::read_key).transpose()?,
            private_key: self.private_key.as_deref().map(files::read_key).transpose()?,
            created_at: self.created_at.map(String::from),
            standby: self.standby,
            key_store: self.key_store,
            allow_extractable: self.allow_extractable,
        };
        let route = Route::to(&["signer", "keys", "import"]);
        let key: Key = context.api().await?.post(&route, &request).await?;
        context.printer.answer(&key, |page| {
            super::describe(page, &key);
            page.brief(&key.id);
        })?;
        Ok(Exit::Done)
    }
}
