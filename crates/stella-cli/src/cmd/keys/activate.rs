//! `keys activate`.

use clap::Args;
use serde_json::json;
use stella_core::api::keys::KeyChange;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a key the one its profile signs with
#[derive(Args)]
pub struct Activate {
    #[command(flatten)]
    key: KeyArg,
}

impl Activate {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "keys", self.key.id(), "activate"]);
        let change: KeyChange = context.api().await?.post(&route, &json!({})).await?;
        context
            .printer
            .answer(&change, |page| super::describe_change(context, page, &change))?;
        change.warnings.iter().for_each(|w| context.printer.warn(w));
        Ok(Exit::Done)
    }
}
