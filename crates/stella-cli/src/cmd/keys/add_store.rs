//! `keys add-store`.

use clap::Args;
use stella_core::api::keys::{AddStore as Request, Key};

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Say where the same key is as well, cloned into another token: it signs
/// there while its first store cannot
#[derive(Args)]
pub struct AddStore {
    #[command(flatten)]
    key: KeyArg,
    /// Where it is there, such as
    /// 'hsm://pkcs11/token/TOKEN?module=NAME&object=LABEL&id=%0A'
    #[arg(long, value_name = "URI")]
    key_store: String,
    /// Take a key that its token would give out
    #[arg(long)]
    allow_extractable: bool,
}

impl AddStore {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = Request {
            key_store: self.key_store,
            allow_extractable: self.allow_extractable,
        };
        let route = Route::to(&["signer", "keys", self.key.id(), "stores"]);
        let key: Key = context.api().await?.post(&route, &request).await?;
        context.printer.answer(&key, |page| {
            super::describe(page, &key);
            page.brief(&key.id);
        })?;
        Ok(Exit::Done)
    }
}
