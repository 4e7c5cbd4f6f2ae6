//! `crypto hsm failover`.

use clap::Args;
use stella_core::api::hsm::{FailedOver, Failover as Request};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Move signing to the keys in another module, until it is given back
#[derive(Args)]
pub struct Failover {
    /// A module of the configuration (hsm.modules); auto gives it back
    #[arg(long, value_name = "NAME")]
    to: String,
    /// This profile alone
    #[arg(long)]
    profile: Option<String>,
    /// Ends by itself after so long, 24h at most
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<String>,
}

impl Failover {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = Request {
            to: self.to,
            profile: self.profile,
            lasts: self.lasts,
        };
        let route = Route::to(&["crypto", "hsm", "failover"]);
        let done: FailedOver = context.api().await?.post(&route, &request).await?;
        for warning in &done.warnings {
            context.printer.warn(warning);
        }
        context.printer.answer(&done, |page| {
            for moved in &done.profiles {
                page.line(format!("profile {} signs with {}", moved.profile, moved.key_id));
            }
            page.maybe("ends by itself", done.until.as_ref());
            if done.to != "auto" {
                page.line("give it back: stella crypto hsm failover --to auto");
            }
            page.brief(&done.to);
        })?;
        Ok(Exit::Done)
    }
}
