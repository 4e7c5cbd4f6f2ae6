//! `attest resign`.

use clap::Args;
use stella_core::api::attestations::{Attestation, Resign as Request};

use super::{describe, exit_of, remark, resolve};
use crate::api::Route;
use crate::args::ids::AttestationArg;
use crate::context::{Context, Outcome};

/// Sign the same statement with a current key
#[derive(Args)]
pub struct Resign {
    #[command(flatten)]
    attestation: AttestationArg,
    /// Default: the profile that signed it
    #[arg(long)]
    profile: Option<String>,
    /// Who looked at it and what they found; needed where the ledger cannot
    /// vouch for the old signature
    #[arg(long, value_name = "NOTE")]
    reviewed: Option<String>,
    /// Recorded but not yet signed is good enough: end with 0
    #[arg(long)]
    accept_recorded: bool,
}

impl Resign {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        let id = resolve(&api, self.attestation.id()).await?;
        let request = Request {
            profile: self.profile,
            reviewed: self.reviewed,
        };
        let route = Route::to(&["attestations", &id, "resign"]);
        let attestation: Attestation = api.post(&route, &request).await?;
        context.printer.answer(&attestation, |page| {
            describe(page, &attestation);
            page.brief(&attestation.id);
        })?;
        remark(context, &attestation);
        Ok(exit_of([&attestation], self.accept_recorded))
    }
}
