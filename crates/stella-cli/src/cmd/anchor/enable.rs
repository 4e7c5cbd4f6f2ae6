//! `anchor enable`.

use clap::Args;
use stella_core::api::anchors::UpdateAnchor;

use super::update::change;
use crate::args::ids::AnchorArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Undo disable
#[derive(Args)]
pub struct Enable {
    #[command(flatten)]
    anchor: AnchorArg,
    /// Why, in your words
    #[arg(long)]
    note: Option<String>,
}

impl Enable {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = UpdateAnchor {
            status: Some("active".to_owned()),
            note: self.note,
            ..UpdateAnchor::default()
        };
        let anchor = change(context, self.anchor.id(), &request).await?;
        context
            .printer
            .answer(&anchor, |page| super::describe(page, &anchor))?;
        Ok(Exit::Done)
    }
}
