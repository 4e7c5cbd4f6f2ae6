//! `attest list`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use stella_core::api::attestations::AttestationList;

use super::{key_text, subject_text};
use crate::api::Route;
use crate::args::predicate_type;
use crate::args::time::Moment;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// List attestations, newest first
#[derive(Args)]
pub struct List {
    /// Only those in this state
    #[arg(long, value_parser = PossibleValuesParser::new(["recorded", "signed", "failed", "held"]))]
    state: Option<String>,
    /// Short name or URI
    #[arg(long = "type", value_name = "TYPE", value_parser = predicate_type)]
    predicate_type: Option<String>,
    /// A name or a digest
    #[arg(long)]
    subject: Option<String>,
    /// Only those that this key signed
    #[arg(long, alias = "key", value_name = "KEY_ID")]
    key_id: Option<String>,
    /// Only those that a standby key signed in the active key's stead
    #[arg(long)]
    signed_by_standby: bool,
    /// Only those made since: RFC 3339, or a date
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// How many on a page
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Read on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["attestations"])
            .with("state", self.state)
            .with("type", self.predicate_type)
            .with("subject", self.subject)
            .with("keyId", self.key_id)
            .with("signedByStandby", self.signed_by_standby.then_some("true"))
            .with("since", self.since.map(String::from))
            .with("limit", self.limit)
            .with("cursor", self.cursor);
        let list: AttestationList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            let rows = list.attestations.iter().map(|attestation| {
                let subject = attestation.subjects.first().map(subject_text).unwrap_or_default();
                let more = attestation.subjects.len().saturating_sub(1);
                [
                    attestation.id.clone(),
                    attestation.state.clone(),
                    attestation.predicate_type.clone(),
                    key_text(attestation).unwrap_or_else(|| "-".into()),
                    attestation.created_at.clone(),
                    if more == 0 {
                        subject
                    } else {
                        format!("{subject} (and {more} more)")
                    },
                ]
            });
            let header = ["ID", "State", "Type", "Key", "Created", "Subject"];
            page.list(header, rows, "no attestations match");
        })?;
        if let Some(cursor) = &list.next_cursor {
            context
                .printer
                .note(&format!("there are more: --cursor {cursor}"));
        }
        Ok(Exit::Done)
    }
}
