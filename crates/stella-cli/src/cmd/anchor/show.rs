//! `anchor show`.

use clap::Args;
use stella_core::api::anchors::Anchor;

use crate::api::Route;
use crate::args::ids::AnchorArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Show one anchor with its key history
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    anchor: AnchorArg,
}

impl Show {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["anchors", self.anchor.id()]);
        let anchor: Anchor = context.api().await?.get(&route).await?;
        context
            .printer
            .answer(&anchor, |page| super::describe(page, &anchor))?;
        Ok(Exit::Done)
    }
}
