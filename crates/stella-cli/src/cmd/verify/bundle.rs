//! `verify --bundle FILE`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use stella_core::api::verify::{Times, VerifyBundle};
use stella_core::verify::ask::Wanted;

use super::artifact::one_artifact;
use super::offline::OfflineArgs;
use super::{Question, report};
use crate::api::Route;
use crate::args::digest::Digest;
use crate::args::predicate_type;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::offline::Evidence;

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
        let (file, wanted, times) = self.parts(question, context)?;
        let request = VerifyBundle {
            document: files::read_text(&file)?,
            digests: wanted.digests,
            purl: wanted.purl,
            require_types: wanted.require_types,
            times,
        };
        let route = Route::to(&["verify", "bundle"]);
        let verdict = context.api().await?.post(&route, &request).await?;
        report::answer(context, &verdict)
    }

    pub fn run_offline(self, question: Question, offline: OfflineArgs, context: &Context) -> Outcome {
        let (file, wanted, times) = self.parts(question, context)?;
        let trust = offline.into_trust(context)?;
        let wanted = Wanted::parse(wanted.digests, wanted.purl.as_deref(), &wanted.require_types)?;
        let verdict = crate::offline::judge(context, &trust, &times, &wanted, &Evidence::Document(file))?;
        report::answer(context, &verdict)
    }

    fn parts(self, question: Question, context: &Context) -> Result<(PathBuf, Asked, Times), CliError> {
        let Some(file) = self.bundle else {
            return Err(CliError::usage("nothing to verify was given").next(format!(
                "{} verify attestation ID, verify artifact --digest sha256:HEX, or verify --bundle FILE",
                context.program
            )));
        };
        let (times, signer) = question.into_parts();
        if signer.is_some() {
            return Err(super::no_signer(context));
        }
        let mut digests = self.digest;
        if let Some(artifact) = &self.artifact {
            digests.push(Digest::of_file(artifact, context.shows_progress())?);
        }
        let asked = Asked {
            digests: one_artifact(digests)?,
            purl: self.purl,
            require_types: self.require_types,
        };
        Ok((file, asked, times))
    }
}

/// What is asked about the document, as typed.
struct Asked {
    digests: BTreeMap<String, String>,
    purl: Option<String>,
    require_types: Vec<String>,
}
