//! `keys remove-store`.

use clap::Args;
use stella_core::api::keys::Key;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// End signing with a key in one of its stores; nothing is deleted there
#[derive(Args)]
pub struct RemoveStore {
    #[command(flatten)]
    key: KeyArg,
    /// The store, as keys show has it
    #[arg(long, value_name = "URI")]
    key_store: String,
}

impl RemoveStore {
    pub async fn run(self, context: &Context) -> Outcome {
        let route =
            Route::to(&["signer", "keys", self.key.id(), "stores"]).with("keyStore", Some(&self.key_store));
        let key: Key = context.api().await?.delete(&route).await?;
        context.printer.answer(&key, |page| {
            super::describe(page, &key);
            page.brief(&key.id);
        })?;
        Ok(Exit::Done)
    }
}
