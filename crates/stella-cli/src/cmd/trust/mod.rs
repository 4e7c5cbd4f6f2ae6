//! `trust ...`: what offline verifiers take with them.

mod export;
mod inspect;
mod root;

use stella_core::api::keys::{GenerateKey, Key};

use super::verbs;
use crate::api::{Api, Route};
use crate::context::{Context, Outcome};
use crate::error::CliError;

verbs! {
    /// Sign what is trusted now, for verifiers that cannot ask this instance
    Export(export::Export),
    /// The root that such verifiers pin: it names the keys that sign bundles
    Root(root::Root),
    /// What a trust bundle or a root says; asks no instance
    Inspect(inspect::Inspect),
}

impl Verb {
    /// Done at once where no instance is needed.
    pub fn here(self, context: &Context) -> Result<Outcome, Self> {
        match self {
            Self::Inspect(inspect) => Ok(inspect.run_here(context)),
            other => Err(other),
        }
    }
}

/// The instance signs with its feed keys; the first one is made when it is
/// first needed, and said.
async fn with_feed_key(context: &Context, api: &Api) -> Result<(), CliError> {
    let request = GenerateKey {
        profile: None,
        key_id: None,
        algorithm: None,
        key_type: Some("feed".to_owned()),
        standby: false,
        key_store: None,
    };
    let key: Key = api.post(&Route::to(&["signer", "keys"]), &request).await?;
    context.printer.note(&format!(
        "made the feed key {} ({}): it signs trust bundles and roots, and nothing else",
        key.id, key.algorithm
    ));
    Ok(())
}

fn has_no_feed_key(error: &CliError) -> bool {
    error.code == "trust.no-feed-key"
}
