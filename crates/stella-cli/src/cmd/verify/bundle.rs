//! `verify --bundle FILE`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::verify::VerifyBundle;

use super::artifact::one_artifact;
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
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// The artifact it must be about
    #[arg(
        long,
        visible_alias = "file",
        value_name = "FILE",
        conflicts_with = "digest",
        requires = "bundle"
    )]
    artifact: Option<PathBuf>,
    /// The same, by digest
    #[arg(long, value_name = "DIGEST", requires = "bundle")]
    digest: Vec<Digest>,
    /// The name you know it by: it selects the anchor that judges
    #[arg(long, value_name = "PURL", requires = "bundle")]
    purl: Option<String>,
    /// A predicate type it must have
    #[arg(long = "require-type", alias = "require-types", value_name = "TYPE", value_delimiter = ',', value_parser = predicate_type, requires = "bundle")]
    require_types: Vec<String>,
}

impl Bundle {
    pub fn is_asked(&self) -> bool {
        self.bundle.is_some()
    }

    pub async fn run(self, question: Question, context: &Context) -> Outcome {
        let Some(file) = self.bundle else {
            return Err(CliError::usage("nothing to verify was given").next(format!(
                "{} verify attestation ID, verify artifact --digest sha256:HEX, or verify --bundle FILE",
                context.program
            )));
        };
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
