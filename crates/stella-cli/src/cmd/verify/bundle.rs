//! `verify --bundle FILE`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::verify::VerifyBundle;

use super::artifact::one_artifact;
use super::proof::Proof;
use super::{Question, report};
use crate::api::Route;
use crate::args::digest::Digest;
use crate::args::predicate_type;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;

/// A document that comes with the question.
#[derive(Args)]
#[command(next_help_heading = "A bundle")]
pub(super) struct Bundle {
    /// Judge this DSSE envelope or Sigstore bundle; - is standard input
    #[arg(long, value_name = "FILE", group = "document")]
    bundle: Option<PathBuf>,
    /// Judge this proof: by its address (sha256:HEX) one that is kept, or a
    /// file; - is standard input
    #[arg(long, value_name = "ADDRESS|FILE", group = "document")]
    proof_bundle: Option<String>,
    /// The bundle itself, which must have that address
    #[arg(long, value_name = "FILE", requires = "proof_bundle")]
    proof_file: Option<PathBuf>,
    /// The artifact it must be about
    #[arg(
        long,
        visible_alias = "file",
        value_name = "FILE",
        conflicts_with = "digest",
        requires = "document"
    )]
    artifact: Option<PathBuf>,
    /// The same, by digest
    #[arg(long, value_name = "DIGEST", requires = "document")]
    digest: Vec<Digest>,
    /// The name you know it by: it selects the anchor that judges
    #[arg(long, value_name = "PURL", requires = "document")]
    purl: Option<String>,
    /// A predicate type it must have
    #[arg(long = "require-type", alias = "require-types", value_name = "TYPE", value_delimiter = ',', value_parser = predicate_type, requires = "document", conflicts_with = "proof_bundle")]
    require_types: Vec<String>,
}

impl Bundle {
    pub fn is_asked(&self) -> bool {
        self.bundle.is_some() || self.proof_bundle.is_some()
    }

    pub async fn run(self, question: Question, context: &Context) -> Outcome {
        if !self.is_asked() {
            return Err(nothing(context));
        }
        let (times, signer) = question.into_parts();
        if signer.is_some() {
            // Who asked for a signature is not in the document but in the ledger.
            return Err(CliError::usage(
                "a bundle does not say who asked for its signature, so --signer cannot be checked",
            )
            .next(format!(
                "{} verify attestation ID --signer PATTERN, where it was signed",
                context.program
            )));
        }
        let mut digests = self.digest;
        if let Some(artifact) = &self.artifact {
            digests.push(Digest::of_file(artifact, context.shows_progress())?);
        }
        if let Some(text) = self.proof_bundle {
            let file = self.proof_file;
            let proof = Proof { text, file };
            return proof.run(digests, self.purl, times, context).await;
        }
        let file = self.bundle.ok_or_else(|| nothing(context))?;
        let request = VerifyBundle {
            document: files::read_text(&file)?,
            digests: one_artifact(digests)?,
            purl: self.purl,
            require_types: self.require_types,
            times,
        };
        let route = Route::to(&["verify", "bundle"]);
        let verdict = context.api().await?.post(&route, &request).await?;
        report::answer(context, &verdict)
    }
}

fn nothing(context: &Context) -> CliError {
    let program = &context.program;
    CliError::usage("nothing to verify was given").next(format!(
        "{program} verify attestation ID, verify artifact --digest sha256:HEX, verify --bundle FILE, or verify --proof-bundle sha256:HEX"
    ))
}
