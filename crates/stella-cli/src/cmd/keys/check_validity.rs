//! `keys check-validity`.

use clap::Args;
use stella_core::api::keys::Validity;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::args::time::Moment;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Paint;

/// Whether a key was valid at a moment, anchor by anchor; ends 12 where it was
/// not valid in any one of them
#[derive(Args)]
pub struct CheckValidity {
    #[command(flatten)]
    key: KeyArg,
    /// RFC 3339, a date or NOW (the default)
    #[arg(long, value_name = "TIME")]
    at_time: Option<Moment>,
}

impl CheckValidity {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "keys", self.key.id(), "validity"])
            .with("atTime", self.at_time.map(String::from));
        let validity: Validity = context.api().await?.get(&route).await?;
        context.printer.answer(&validity, |page| {
            let word = if validity.valid {
                page.paint(Paint::Green, "valid")
            } else {
                page.paint(Paint::Red, "not valid")
            };
            page.line(format!("{} {word} at {}", validity.key_id, validity.at_time));
            let rows = validity.anchors.iter().map(|anchor| {
                [
                    anchor.anchor_id.clone(),
                    anchor.pattern.clone(),
                    if anchor.valid { "yes" } else { "no" }.to_owned(),
                    anchor.added_at.clone(),
                    anchor.ends_at.clone().unwrap_or_else(|| "-".into()),
                    anchor.reason.clone(),
                ]
            });
            let header = ["Anchor", "Pattern", "Valid", "Added", "Ends", "Reason"];
            page.table(header, rows, "no anchor holds it");
        })?;
        Ok(if validity.valid {
            Exit::Done
        } else {
            Exit::VerificationFailed
        })
    }
}
