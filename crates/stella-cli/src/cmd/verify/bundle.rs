//! `verify --bundle FILE`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::verify::{Times, VerifyBundle};
use stella_core::verify::ask::Wanted;

use super::artifact::one_artifact;
use super::bundles::Bundles;
use super::many::Into;
use super::offline::OfflineArgs;
use super::proof::Proof;
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
    /// Judge this DSSE envelope or Sigstore bundle, or the bundles of one
    /// statement, one on each line; - is standard input
    #[arg(long, value_name = "FILE", group = "document")]
    bundle: Option<PathBuf>,
    /// Judge a file of bundles of any length, one on each line, each by
    /// itself; - is standard input
    #[arg(long, value_name = "FILE", group = "document", conflicts_with_all = ["artifact", "digest", "purl"])]
    bundles: Option<PathBuf>,
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
    #[command(flatten)]
    into: Into,
}

impl Bundle {
    pub fn is_asked(&self) -> bool {
        self.bundle.is_some() || self.bundles.is_some() || self.proof_bundle.is_some()
    }

    pub async fn run(self, question: Question, context: &Context) -> Outcome {
        let (asked, times) = self.parts(question, context)?;
        let Asked {
            document,
            digests,
            purl,
            require_types,
        } = asked;
        let file = match document {
            Document::Bundle(file) => file,
            Document::Proof(proof) => return proof.run(digests, purl, times, context).await,
            Document::Bundles(file, into) => {
                let bundles = Bundles {
                    file,
                    require_types,
                    times,
                    into,
                };
                return bundles.run(context).await;
            }
        };
        let request = VerifyBundle {
            document: files::read_text(&file)?,
            digests: one_artifact(digests)?,
            purl,
            require_types,
            times,
        };
        let route = Route::to(&["verify", "bundle"]);
        let verdict = context.api().await?.post(&route, &request).await?;
        report::answer(context, &verdict)
    }

    pub fn run_offline(self, question: Question, offline: OfflineArgs, context: &Context) -> Outcome {
        let (asked, times) = self.parts(question, context)?;
        let Asked {
            document,
            digests,
            purl,
            require_types,
        } = asked;
        if let Document::Bundles(file, into) = document {
            let bundles = Bundles {
                file,
                require_types,
                times,
                into,
            };
            return bundles.run_offline(offline, context);
        }
        let trust = offline.into_trust(context)?;
        let wanted = Wanted::parse(one_artifact(digests)?, purl.as_deref(), &require_types)?;
        let file = match document {
            Document::Bundle(file) => file,
            Document::Proof(proof) => return proof.run_offline(wanted, &times, &trust, context),
            Document::Bundles(..) => return Err(nothing(context)),
        };
        let verdict = crate::offline::judge(context, &trust, &times, &wanted, &Evidence::Document(file))?;
        report::answer(context, &verdict)
    }

    fn parts(self, question: Question, context: &Context) -> Result<(Asked, Times), CliError> {
        let document = match (self.bundle, self.bundles, self.proof_bundle) {
            (Some(file), _, _) => Document::Bundle(file),
            (None, Some(file), _) => Document::Bundles(file, self.into),
            (None, None, Some(text)) => Document::Proof(Proof {
                text,
                file: self.proof_file,
            }),
            (None, None, None) => return Err(nothing(context)),
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
            document,
            digests,
            purl: self.purl,
            require_types: self.require_types,
        };
        Ok((asked, times))
    }
}

/// What is asked about the document, as typed.
struct Asked {
    document: Document,
    digests: Vec<Digest>,
    purl: Option<String>,
    require_types: Vec<String>,
}

enum Document {
    Bundle(PathBuf),
    Bundles(PathBuf, Into),
    Proof(Proof),
}

fn nothing(context: &Context) -> CliError {
    let program = &context.program;
    CliError::usage("nothing to verify was given").next(format!(
        "{program} verify attestation ID, verify artifact --digest sha256:HEX, verify --bundle FILE, verify --bundles FILE, or verify --proof-bundle sha256:HEX"
    ))
}
