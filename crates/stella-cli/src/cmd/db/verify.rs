//! `db verify`.

use clap::Args;
use serde_json::json;
use stella_core::api::status::DbReport;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Paint;

/// Read the whole store and compare it with its own digests
#[derive(Args)]
pub struct Verify {}

impl Verify {
    pub async fn run(self, context: &Context) -> Outcome {
        let report: DbReport = context
            .api()
            .await?
            .post(&Route::to(&["db", "verify"]), &json!({}))
            .await?;
        context.printer.answer(&report, |page| {
            let word = if report.ok {
                page.paint(Paint::Green, "✓ the store is whole")
            } else {
                page.paint(Paint::Red, "✗ the store is NOT whole")
            };
            page.line(word);
            page.field("store", &report.store);
            page.field("events", report.events);
            page.field("attestations", report.attestations);
            page.field("ledger", report.ledger_entries);
            page.field("chain head", &report.chain_head);
            for finding in &report.findings {
                page.line(format!("  ✗ {finding}"));
            }
        })?;
        Ok(if report.ok { Exit::Done } else { Exit::Failed })
    }
}
