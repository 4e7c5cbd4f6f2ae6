//! `keys impact`.

use clap::Args;
use stella_core::api::keys::Impact as Answer;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// What the end of a key changed: which attestations no longer pass, and who
/// asked for them
#[derive(Args)]
pub struct Impact {
    #[command(flatten)]
    key: KeyArg,
}

impl Impact {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "keys", self.key.id(), "impact"]);
        let impact: Answer = context.api().await?.get(&route).await?;
        context.printer.answer(&impact, |page| {
            page.line(format!("{} is {}", impact.key_id, impact.status));
            page.field("attestations", impact.attestations);
            page.field("in the ledger", impact.in_ledger);
            page.field("PASS", impact.pass);
            page.field("FAIL", impact.fail);
            page.field("INDETERMINATE", impact.indeterminate);
            page.line("");
            let rows = impact.rows.iter().map(|row| {
                [
                    row.attestation_id.clone(),
                    row.subject.clone(),
                    row.predicate_type.clone(),
                    row.signed_at.clone(),
                    row.requested_by.clone(),
                    row.before.clone(),
                    row.verdict.clone(),
                    row.code.clone(),
                ]
            });
            let header = [
                "Attestation",
                "Subject",
                "Type",
                "Signed",
                "Requested By",
                "Before",
                "Now",
                "Code",
            ];
            page.table(header, rows, "no verdict changed");
            for next in &impact.next {
                page.next(next);
            }
        })?;
        Ok(Exit::Done)
    }
}
