//! `crypto hsm reconnect`, `crypto hsm pkcs11-reload`.

use clap::Args;
use stella_core::api::hsm::HsmReport;

use super::{ModuleArg, report};
use crate::api::Route;
use crate::context::{Context, Outcome};

#[derive(Args)]
pub struct Reconnect {
    #[command(flatten)]
    module: ModuleArg,
}

impl Reconnect {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "hsm", "reconnect"]).with("module", self.module.module);
        let answer: HsmReport = context.api().await?.post(&route, &()).await?;
        report(context, &answer, true)
    }
}
