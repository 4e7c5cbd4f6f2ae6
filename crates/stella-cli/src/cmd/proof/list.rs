//! `proof list`.

use clap::Args;
use stella_core::api::proofs::ProofList;

use crate::api::Route;
use crate::cmd::attest::subject_text;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// List proofs, newest first
#[derive(Args)]
pub struct List {
    /// What they are about: its name, or its digest as sha256:HEX
    #[arg(long)]
    subject: Option<String>,
    /// Only those that hold this attestation
    #[arg(long, value_name = "ATTESTATION_ID")]
    attestation: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Read on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["proofs"])
            .with("subject", self.subject)
            .with("attestation", self.attestation)
            .with("limit", self.limit)
            .with("cursor", self.cursor);
        let list: ProofList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            let rows = list.proofs.iter().map(|proof| {
                [
                    proof.id.clone(),
                    proof.created_at.clone(),
                    proof.predicate_types.join(","),
                    subject_text(&proof.subject),
                ]
            });
            let header = ["ID", "Created", "Members", "Subject"];
            page.list(header, rows, "no proofs match");
        })?;
        if let Some(cursor) = &list.next_cursor {
            context
                .printer
                .note(&format!("there are more: --cursor {cursor}"));
        }
        Ok(Exit::Done)
    }
}
