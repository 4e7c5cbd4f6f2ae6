//! `attest integrity-check`.

use clap::Args;
use stella_core::api::attestations::Integrity;

use super::resolve;
use crate::api::Route;
use crate::args::ids::AttestationArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Paint;

/// Compare the stored bytes with every digest of them; ends 12 where one
/// differs
#[derive(Args)]
pub struct IntegrityCheck {
    #[command(flatten)]
    attestation: AttestationArg,
}

impl IntegrityCheck {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        let id = resolve(&api, self.attestation.id()).await?;
        let integrity: Integrity = api.get(&Route::to(&["attestations", &id, "integrity"])).await?;
        context.printer.answer(&integrity, |page| {
            let word = if integrity.intact {
                page.paint(Paint::Green, "intact")
            } else {
                page.paint(Paint::Red, "NOT intact")
            };
            page.line(format!("{} is {word}", integrity.id));
            let width = integrity.checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
            for check in &integrity.checks {
                let tick = page.tick(check.ok);
                page.line(format!("  {tick} {:<width$}  {}", check.name, check.detail));
            }
            if let Some(next) = &integrity.next {
                page.next(next);
            }
        })?;
        Ok(if integrity.intact {
            Exit::Done
        } else {
            Exit::VerificationFailed
        })
    }
}
