//! `attest import`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::attestations::{Attestation, ImportAttestation};

use super::{describe, remark};
use crate::api::Route;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Record somebody else's envelope or bundle
#[derive(Args)]
pub struct Import {
    /// A DSSE envelope or a Sigstore bundle; - is standard input
    file: PathBuf,
}

impl Import {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = ImportAttestation {
            document: files::read_text(&self.file)?,
        };
        let route = Route::to(&["attestations", "import"]);
        let attestation: Attestation = context.api().await?.post(&route, &request).await?;
        context.printer.answer(&attestation, |page| {
            describe(page, &attestation);
            page.brief(&attestation.id);
        })?;
        remark(context, &attestation);
        Ok(Exit::Done)
    }
}
