//! `anchor list`: the columns of the key-rotation runbook.

use clap::Args;
use stella_core::api::anchors::AnchorList;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// List trust anchors
#[derive(Args)]
pub struct List {}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let list: AnchorList = context.api().await?.get(&Route::to(&["anchors"])).await?;
        context.printer.answer(&list, |page| {
            let rows = list.anchors.iter().map(|anchor| {
                [
                    anchor.trust_anchor_id.clone(),
                    anchor.purl_pattern.clone(),
                    if anchor.allowed_keyids.is_empty() {
                        "-".to_owned()
                    } else {
                        anchor.allowed_keyids.join(",")
                    },
                    anchor.status.clone(),
                ]
            });
            page.list(["ID", "Pattern", "Keys", "Status"], rows, "no trust anchors");
        })?;
        Ok(Exit::Done)
    }
}
