//! `attest retry`.

use clap::Args;
use stella_core::api::attestations::{Retried, Retry as Request};

use crate::api::Route;
use crate::args::period::Period;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Sign now what is recorded without a signature
#[derive(Args)]
pub struct Retry {
    /// Every unsigned record (the default, said aloud)
    #[arg(long)]
    failed: bool,
    /// Only those last tried within this time
    #[arg(long, value_name = "PERIOD")]
    last: Option<Period>,
}

impl Retry {
    pub async fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let request = Request {
            last_seconds: self.last.map(|period| period.seconds_until(now)),
        };
        let route = Route::to(&["attestations", "retry"]);
        let retried: Retried = context.api().await?.post(&route, &request).await?;
        context.printer.answer(&retried, |page| {
            page.line(format!(
                "{} tried, {} signed, {} still unsigned",
                retried.tried, retried.signed, retried.still_unsigned
            ));
            if retried.left_out > 0 {
                page.line(format!("{} left out: last tried longer ago", retried.left_out));
                page.next(format!("{} attest retry --failed", context.program));
            }
            for error in &retried.errors {
                page.line(format!("  {error}"));
            }
        })?;
        Ok(if retried.still_unsigned == 0 {
            Exit::Done
        } else {
            Exit::Recorded
        })
    }
}
