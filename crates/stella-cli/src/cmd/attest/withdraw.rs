//! `attest withdraw`.

use clap::Args;
use stella_core::api::attestations::{Attestation, AttestationDetails, Withdraw as Request};

use super::{describe, resolve};
use crate::api::Route;
use crate::args::ids::AttestationArg;
use crate::args::reason;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Take a statement back, for ever: every signature over it fails from now on
#[derive(Args)]
pub struct Withdraw {
    #[command(flatten)]
    attestation: AttestationArg,
    /// From the fixed list; words go into --note
    #[arg(long, value_parser = reason())]
    reason: String,
    /// Why, in your words
    #[arg(long)]
    note: Option<String>,
}

impl Withdraw {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        let id = resolve(&api, self.attestation.id()).await?;
        let details: AttestationDetails = api.get(&Route::to(&["attestations", &id])).await?;
        context.confirm(
            |page| {
                page.line("withdrawing this statement for ever (attestation.withdrawn)");
                describe(page, &details.attestation);
                let siblings = details.siblings.len();
                if siblings > 0 {
                    page.field("and with it", format!("{siblings} more of the same statement"));
                }
            },
            "Withdraw it?",
        )?;
        let request = Request {
            reason: self.reason,
            note: self.note,
        };
        let route = Route::to(&["attestations", &details.attestation.id, "withdraw"]);
        let attestation: Attestation = api.post(&route, &request).await?;
        context
            .printer
            .answer(&attestation, |page| describe(page, &attestation))?;
        Ok(Exit::Done)
    }
}
