//! `anchor explain`.

use clap::Args;
use stella_core::api::anchors::Explanation;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Which anchor judges a name, and why
#[derive(Args)]
pub struct Explain {
    /// A PURL, or another name that statements use
    #[arg(value_name = "PURL")]
    name: String,
}

impl Explain {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["anchors", "explain"]).with("name", Some(&self.name));
        let explanation: Explanation = context.api().await?.get(&route).await?;
        context.printer.answer(&explanation, |page| {
            page.field("name", &explanation.name);
            page.field("read as", &explanation.canonical);
            page.field(
                "decided by",
                crate::cmd::keys::or_none(&explanation.deciding.join(", ")),
            );
            page.line("");
            let rows = explanation.candidates.iter().map(|anchor| {
                [
                    anchor.anchor_id.clone(),
                    anchor.pattern.clone(),
                    anchor.status.clone(),
                    if anchor.decides {
                        "decides"
                    } else if anchor.matches {
                        "matches"
                    } else {
                        "no"
                    }
                    .to_owned(),
                    anchor.why.clone(),
                ]
            });
            let header = ["ID", "Pattern", "Status", "Match", "Why"];
            page.table(header, rows, "trust anchor not found: no pattern matches");
            if let Some(next) = &explanation.next {
                page.next(next);
            }
        })?;
        Ok(if explanation.deciding.is_empty() {
            Exit::NoAnchor
        } else {
            Exit::Done
        })
    }
}
