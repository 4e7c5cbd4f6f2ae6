//! `crypto hsm auth update`.

use clap::Args;
use stella_core::api::hsm::{PinVerified, UpdatePin};

use super::accepted;
use crate::api::Route;
use crate::cmd::crypto::hsm::ModuleArg;
use crate::context::{Context, Outcome};
use crate::error::CliError;

/// Try the PIN that the token has now, once, and use it from now on
///
/// It is asked for, or read from standard input: others on this machine can
/// see arguments. It is not written anywhere; where it has to be is told.
#[derive(Args)]
pub struct Update {
    #[command(flatten)]
    module: ModuleArg,
    /// The token in this slot (crypto hsm slots list)
    #[arg(long, value_name = "N")]
    slot: u64,
}

impl Update {
    pub async fn run(self, context: &Context) -> Outcome {
        let pin = context.secret("PIN: ")?;
        if pin.is_empty() {
            return Err(CliError::usage("no PIN was given").next(format!(
                "{} crypto hsm auth update --slot {} < FILE",
                context.program, self.slot
            )));
        }
        let route = Route::to(&["crypto", "hsm", "auth", "update"]).with("module", self.module.module);
        let request = UpdatePin {
            slot: self.slot,
            pin: pin.to_string(),
        };
        let verified: PinVerified = context.api().await?.post(&route, &request).await?;
        accepted(context, &verified)
    }
}
