//! `anchor status`: the lines of the key-rotation runbook.

use clap::Args;
use stella_core::api::anchors::AnchorStatus;

use crate::api::Route;
use crate::args::ids::AnchorArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// How an anchor does: its keys and its verification success rate
#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    anchor: AnchorArg,
}

impl Status {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["anchors", self.anchor.id(), "status"]);
        let status: AnchorStatus = context.api().await?.get(&route).await?;
        context.printer.answer(&status, |page| {
            page.line(format!("Anchor: {}", status.anchor_id));
            page.line(format!("Active Keys: {}", status.active_keys.join(", ")));
            page.line(format!("Verification Success Rate: {}", rate(&status)));
            page.line(format!("Pending Rescans: {}", status.pending_rescans));
            if status.status != "active" {
                page.line(format!("Status: {}", status.status));
            }
        })?;
        context.printer.detail(&format!(
            "pattern {}, policy {}, {} attestations judged",
            status.pattern, status.policy_version, status.judged
        ));
        Ok(Exit::Done)
    }
}

/// Rounded down: one failure in ten thousand is not 100%.
fn rate(status: &AnchorStatus) -> String {
    match status.success_rate_percent {
        None => "100% (nothing judged yet)".to_owned(),
        Some(rate) if rate.fract() == 0.0 => format!("{rate:.0}%"),
        Some(rate) => format!("{:.1}%", (rate * 10.0).floor() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_never_rounded_up() {
        let at = |success_rate_percent| {
            rate(&AnchorStatus {
                anchor_id: String::new(),
                pattern: String::new(),
                status: String::new(),
                policy_version: String::new(),
                active_keys: vec![],
                success_rate_percent,
                judged: 0,
                pending_rescans: 0,
            })
        };
        assert_eq!(at(Some(100.0)), "100%");
        assert_eq!(at(Some(99.99)), "99.9%");
        assert_eq!(at(Some(0.0)), "0%");
        assert_eq!(at(None), "100% (nothing judged yet)");
    }
}
