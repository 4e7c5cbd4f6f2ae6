//! `crypto local-hsm init`.

use clap::Args;
use serde_json::json;
use stella_core::api::local_hsm::LocalHsmMade;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make the local HSM that hsm.local names, with the PIN in its file; its
/// recovery code is shown once
#[derive(Args)]
pub struct Init {
    /// Its name in hsm.local
    name: String,
}

impl Init {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "local-hsm", &self.name, "init"]);
        let made: LocalHsmMade = context.api().await?.post(&route, &json!({})).await?;
        context.printer.answer(&made, |page| {
            super::describe(page, &made.hsm);
            page.field("recovery code", &made.recovery_code);
            page.brief(&made.recovery_code);
        })?;
        context.printer.note(
            "the recovery code is shown this once: without it, a PIN that is lost or locked takes the keys with it",
        );
        Ok(Exit::Done)
    }
}
