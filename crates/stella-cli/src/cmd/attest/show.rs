//! `attest show`.

use clap::Args;
use stella_core::api::attestations::AttestationDetails;

use super::{describe, remark, resolve};
use crate::api::Route;
use crate::args::ids::AttestationArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;

/// Show one attestation
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    attestation: AttestationArg,
    /// Everything: who asked, every signature, the statement
    #[arg(long, group = "what")]
    details: bool,
    /// Only the DSSE envelope, exactly as stored
    #[arg(long, group = "what")]
    envelope: bool,
    /// Only the Sigstore bundle
    #[arg(long, group = "what")]
    bundle: bool,
}

impl Show {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        let id = resolve(&api, self.attestation.id()).await?;
        if self.envelope || self.bundle {
            let part = if self.envelope { "envelope" } else { "bundle" };
            let bytes = api.bytes(&Route::to(&["attestations", &id, part])).await?;
            context.printer.raw(&bytes)?;
            return Ok(Exit::Done);
        }
        let details: AttestationDetails = api.get(&Route::to(&["attestations", &id])).await?;
        if self.details {
            context
                .printer
                .answer(&details, |page| everything(page, &details))?;
        } else {
            context
                .printer
                .answer(&details.attestation, |page| describe(page, &details.attestation))?;
        }
        remark(context, &details.attestation);
        Ok(Exit::Done)
    }
}

fn everything(page: &mut Page, details: &AttestationDetails) {
    describe(page, &details.attestation);
    page.field("PAE digest", format!("sha256:{}", details.attestation.pae_digest));
    page.maybe("token", details.token_id.as_ref());
    if !details.authority.is_null() {
        page.field("authority", &details.authority);
    }
    for signature in &details.signatures {
        page.line("");
        page.field("signature by", signature.keyid.as_deref().unwrap_or("(no keyid)"));
        page.field("  ledger", &signature.ledger);
        page.maybe("  signed", signature.signed_at.as_ref());
        page.field("  recorded", &signature.recorded_at);
        page.field("  bytes", &signature.signature);
    }
    for sibling in &details.siblings {
        page.field("sibling", sibling);
    }
    page.line("");
    page.line("statement");
    // A value always has a text.
    let statement = serde_json::to_string_pretty(&details.statement).unwrap_or_default();
    for line in statement.lines() {
        page.line(format!("  {line}"));
    }
}
