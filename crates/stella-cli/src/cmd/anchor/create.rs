//! `anchor create`.

use clap::Args;
use stella_core::api::anchors::{Anchor, CreateAnchor};

use super::update::Demands;
use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a trust anchor
#[derive(Args)]
pub struct Create {
    /// An exact PURL, or a prefix that ends in *
    #[arg(long, alias = "pattern", value_name = "PATTERN")]
    purl_pattern: String,
    /// Keys it accepts from the start
    #[arg(long, value_name = "KEY_ID,...", value_delimiter = ',')]
    key_ids: Vec<String>,
    #[command(flatten)]
    demands: Demands,
    /// Taken over from elsewhere (default: a new one)
    #[arg(long, value_name = "UUID")]
    anchor_id: Option<String>,
}

impl Create {
    pub async fn run(self, context: &Context) -> Outcome {
        let demands = self.demands;
        let request = CreateAnchor {
            trust_anchor_id: self.anchor_id,
            purl_pattern: self.purl_pattern,
            key_ids: self.key_ids,
            allowed_predicate_types: demands.predicate_types.map(|t| t.0),
            required_predicate_types: demands.require_types.map(|t| t.0),
            threshold: demands.threshold,
            min_time_evidence: demands.min_time_evidence,
            time_operators: demands.time_operators,
            require_evidence: demands.require_evidence,
            require_ledger: demands.require_ledger,
        };
        let anchor: Anchor = context
            .api()
            .await?
            .post(&Route::to(&["anchors"]), &request)
            .await?;
        // Scripts read `id` of every creating command.
        let value = crate::cmd::with_id(&anchor, &anchor.trust_anchor_id)?;
        context.printer.answer(&value, |page| {
            super::describe(page, &anchor);
            page.brief(&anchor.trust_anchor_id);
        })?;
        Ok(Exit::Done)
    }
}
