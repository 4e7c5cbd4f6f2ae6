//! `keys impact`.

use clap::Args;
use stella_core::api::keys::{Impact as Answer, Rescan};

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::bulk::Bar;
use crate::context::{Context, Outcome};
use crate::error::CliError;
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
        let impact = self.all(context).await?;
        context.printer.answer(&impact, |page| {
            page.line(format!("{} is {}", impact.key_id, impact.status));
            page.field("attestations", impact.attestations);
            page.field("in the ledger", impact.in_ledger);
            page.field("PASS", impact.pass);
            page.field("FAIL", impact.fail);
            page.field("INDETERMINATE", impact.indeterminate);
            if let Some(rescan) = &impact.rescan {
                page.field("judged anew", rescanned(rescan));
            }
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

    /// Page by page; of the rows those that somebody has to look at.
    async fn all(&self, context: &Context) -> Result<Answer, CliError> {
        let api = context.api().await?;
        let bar = Bar::of_entries(context, 0);
        let mut all: Option<Answer> = None;
        loop {
            let cursor = match &all {
                None => "own",
                Some(so_far) => match so_far.next_cursor.as_deref() {
                    Some(cursor) => cursor,
                    None => break,
                },
            };
            let route = Route::to(&["signer", "keys", self.key.id(), "impact"]).with("cursor", Some(cursor));
            let mut page: Answer = api.get(&route).await?;
            page.rows
                .retain(|row| row.before != row.verdict || !row.in_ledger);
            all = Some(match all {
                None => page,
                Some(so_far) => together(so_far, page),
            });
            if let Some(so_far) = &all {
                bar.at(so_far.attestations, || {
                    format!("{} looked at", so_far.attestations)
                });
            }
        }
        drop(bar);
        let mut all = all.ok_or_else(|| CliError::failed("cli.answer", "the server told nothing"))?;
        all.rows
            .sort_by_key(|row| (row.in_ledger, row.before == row.verdict));
        Ok(all)
    }
}

/// What the key is and what to do is told by each page; the first that has
/// something to do says it.
fn together(mut all: Answer, page: Answer) -> Answer {
    all.attestations += page.attestations;
    all.in_ledger += page.in_ledger;
    all.pass += page.pass;
    all.fail += page.fail;
    all.indeterminate += page.indeterminate;
    all.rows.extend(page.rows);
    if all.next.is_empty() {
        all.next = page.next;
    }
    all.cut = page.cut;
    all.next_cursor = page.next_cursor;
    all.rescan = page.rescan;
    all
}

fn rescanned(rescan: &Rescan) -> String {
    let state = match &rescan.ended_at {
        Some(at) => format!("done {at}"),
        None => "under way".to_owned(),
    };
    format!("{} ({} flipped), {state}", rescan.judged, rescan.flipped)
}
