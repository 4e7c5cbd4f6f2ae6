//! `anchor disable`.

use clap::Args;
use stella_core::api::anchors::{AnchorStatus, UpdateAnchor};

use super::update::change;
use crate::api::Route;
use crate::args::ids::AnchorArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make an anchor fail all it decides
#[derive(Args)]
pub struct Disable {
    #[command(flatten)]
    anchor: AnchorArg,
    /// Why, in your words
    #[arg(long)]
    note: Option<String>,
}

impl Disable {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["anchors", self.anchor.id(), "status"]);
        let status: AnchorStatus = context.api().await?.get(&route).await?;
        context.confirm(
            |page| {
                page.line(format!("disabling {} ({})", status.anchor_id, status.pattern));
                page.line(
                    "  every verdict it decides becomes FAIL (anchor.disabled); no looser anchor steps in",
                );
                page.field("  attestations", format!("{} judged by it so far", status.judged));
            },
            "Disable it?",
        )?;
        let request = UpdateAnchor {
            status: Some("disabled".to_owned()),
            note: self.note,
            ..UpdateAnchor::default()
        };
        let anchor = change(context, &status.anchor_id, &request).await?;
        context
            .printer
            .answer(&anchor, |page| super::describe(page, &anchor))?;
        Ok(Exit::Done)
    }
}
