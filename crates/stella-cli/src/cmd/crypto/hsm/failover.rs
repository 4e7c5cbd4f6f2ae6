//! `crypto hsm failover`.

use clap::Args;
use stella_core::api::hsm::{FailOver, FailedOver};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Sign with the keys in another module now, until it is given back
///
/// Each key there signs a probe first and has to be accepted by every anchor
/// that accepts the profile's active key; otherwise nothing moves. While the
/// module is down the other keys of the profile sign, as ever.
#[derive(Args)]
pub struct Failover {
    /// A module of the configuration (hsm.modules), or auto to give signing back
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Only this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// How long, such as 8h; at most 24h [default: until it is given back]
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<String>,
}

impl Failover {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = FailOver {
            to: self.to,
            profile: self.profile,
            lasts: self.lasts,
        };
        let route = Route::to(&["crypto", "hsm", "failover"]);
        let moved: FailedOver = context.api().await?.post(&route, &request).await?;
        for warning in &moved.warnings {
            context.printer.warn(warning);
        }
        context.printer.answer(&moved, |page| {
            for profile in &moved.profiles {
                let took = profile
                    .milliseconds
                    .map(|ms| format!(" (a probe took {ms:.1} ms)"))
                    .unwrap_or_default();
                page.line(format!(
                    "{} profile {} signs with {}{took}",
                    page.tick(true),
                    profile.profile,
                    profile.key_id
                ));
            }
            if let Some(ends_at) = &moved.ends_at {
                page.line(format!("until {ends_at}"));
            }
            if moved.to != "auto" {
                page.line("give it back: stella crypto hsm failover --to auto");
            }
            page.brief(&moved.to);
        })?;
        Ok(Exit::Done)
    }
}
