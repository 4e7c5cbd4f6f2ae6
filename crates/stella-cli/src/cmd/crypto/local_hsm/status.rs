//! `crypto local-hsm status`.

use clap::Args;
use stella_core::api::local_hsm::LocalHsm;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// A local HSM and its PIN; exit code 1 when it is locked
#[derive(Args)]
pub struct Status {
    /// Its name in hsm.local
    name: String,
}

impl Status {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "local-hsm", &self.name]);
        let hsm: LocalHsm = context.api().await?.get(&route).await?;
        context.printer.answer(&hsm, |page| {
            super::describe(page, &hsm);
            page.brief(if hsm.locked { "locked" } else { "ok" });
        })?;
        if hsm.locked {
            context.printer.note(&format!(
                "  next: {} crypto local-hsm recover {} --recovery-code-file FILE",
                context.program, hsm.name
            ));
            return Ok(Exit::Failed);
        }
        Ok(Exit::Done)
    }
}
