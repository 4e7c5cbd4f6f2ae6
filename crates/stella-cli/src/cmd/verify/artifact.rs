//! `verify artifact`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use stella_core::api::verify::VerifyArtifact;
use stella_core::verify::ask::Wanted;

use super::offline::OfflineArgs;
use super::{Question, report};
use crate::api::Route;
use crate::args::digest::Digest;
use crate::args::{predicate_type, subject};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::offline::Evidence;

/// Judge an artifact by everything stored about its digest
#[derive(Args)]
pub(super) struct Artifact {
    #[command(flatten)]
    which: Which,
    /// The name you know it by: it selects the anchor that judges
    #[arg(long, value_name = "PURL")]
    purl: Option<String>,
    /// A predicate type it must have (default: the anchor's, else any one)
    #[arg(long = "require-type", alias = "require-types", value_name = "TYPE", value_delimiter = ',', value_parser = predicate_type)]
    require_types: Vec<String>,
    #[command(flatten)]
    question: Question,
    /// A document that may speak about it, instead of what an instance has
    /// stored; give it again for each
    #[arg(
        long = "bundle",
        value_name = "FILE",
        requires = "offline",
        help_heading = "Offline"
    )]
    bundles: Vec<PathBuf>,
    #[command(flatten)]
    offline: OfflineArgs,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Which {
    /// sha256:HEX; several of different algorithms name the same artifact
    #[arg(value_name = "DIGEST")]
    digest: Option<Digest>,
    /// The same, as a flag
    #[arg(long = "digest", value_name = "DIGEST")]
    digests: Vec<Digest>,
    /// The artifact itself
    #[arg(long, value_name = "FILE", conflicts_with_all = ["digest", "digests", "image"])]
    file: Option<PathBuf>,
    /// A container image, REGISTRY/REPOSITORY@sha256:HEX
    #[arg(long, value_name = "IMAGE", conflicts_with = "purl")]
    image: Option<String>,
}

impl Artifact {
    pub async fn run(self, context: &Context) -> Outcome {
        let (times, signer) = self.question.into_parts();
        let (digests, purl) = self.which.read(self.purl, context)?;
        let request = VerifyArtifact {
            digests,
            purl,
            require_types: self.require_types,
            signer,
            times,
        };
        let route = Route::to(&["verify", "artifact"]);
        let verdict = context.api().await?.post(&route, &request).await?;
        report::answer(context, &verdict)
    }

    pub fn is_offline(&self) -> bool {
        self.offline.is_asked()
    }

    pub fn run_offline(self, context: &Context) -> Outcome {
        let (times, signer) = self.question.into_parts();
        if signer.is_some() {
            return Err(super::no_signer(context));
        }
        if self.bundles.is_empty() {
            return Err(CliError::usage(
                "offline nothing is stored: give the documents about the artifact, --bundle FILE",
            )
            .next(format!(
                "{} attest show ID --bundle, on the instance",
                context.program
            )));
        }
        let trust = self.offline.into_trust(context)?;
        let (digests, purl) = self.which.read(self.purl, context)?;
        let wanted = Wanted::parse(digests, purl.as_deref(), &self.require_types)?;
        let evidence = Evidence::About(self.bundles);
        let verdict = crate::offline::judge(context, &trust, &times, &wanted, &evidence)?;
        report::answer(context, &verdict)
    }
}

impl Which {
    /// The artifact's digests, and the name that it has of itself.
    fn read(
        self,
        mut purl: Option<String>,
        context: &Context,
    ) -> Result<(BTreeMap<String, String>, Option<String>), CliError> {
        let mut digests: Vec<Digest> = self.digests;
        digests.extend(self.digest);
        if let Some(file) = &self.file {
            digests.push(Digest::of_file(file, context.shows_progress())?);
        }
        if let Some(image) = &self.image {
            let (name, digest) = subject::image(image)?;
            purl = Some(name);
            digests.push(digest);
        }
        Ok((one_artifact(digests)?, purl))
    }
}

/// Two digests of one algorithm are two artifacts.
pub(super) fn one_artifact(digests: Vec<Digest>) -> Result<BTreeMap<String, String>, CliError> {
    let mut map = BTreeMap::new();
    for digest in digests {
        if map
            .insert(digest.algorithm.clone(), digest.hex.clone())
            .is_some_and(|before| before != digest.hex)
        {
            return Err(CliError::usage(format!(
                "two different {} digests are two artifacts: ask about one at a time",
                digest.algorithm
            )));
        }
    }
    Ok(map)
}
