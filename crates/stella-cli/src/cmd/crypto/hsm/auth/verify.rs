//! `crypto hsm auth verify`.

use clap::Args;
use stella_core::api::hsm::{PinVerified, VerifyPin};

use super::accepted;
use crate::api::Route;
use crate::cmd::crypto::hsm::ModuleArg;
use crate::context::{Context, Outcome};

/// Try the PIN in the PIN file, once
///
/// A PIN that the token refused before is not tried again, nor any where the
/// next wrong one locks the token.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    module: ModuleArg,
    /// The token in this slot, instead of the one whose keys are used
    #[arg(long, value_name = "N")]
    slot: Option<u64>,
    /// Try it all the same
    #[arg(long)]
    force: bool,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["crypto", "hsm", "auth", "verify"]).with("module", self.module.module);
        let request = VerifyPin {
            slot: self.slot,
            force: self.force,
        };
        let verified: PinVerified = context.api().await?.post(&route, &request).await?;
        accepted(context, &verified)
    }
}
