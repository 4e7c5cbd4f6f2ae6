//! `verify ...`: questions, and what a verdict looks like.

mod anchor;
mod artifact;
mod attestation;
mod bundle;
mod bundles;
mod many;
mod offline;
mod proof;
mod report;

use clap::{Args, Subcommand};
use stella_core::api::verify::Times;

use super::later::Later;
use crate::args::time::Moment;
use crate::args::time_evidence;
use crate::context::{Context, Outcome};
use crate::error::CliError;

/// Verify attestations, artifacts, bundles and proofs
#[derive(Args)]
#[command(subcommand_negates_reqs = true)]
pub struct Verify {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    bundle: bundle::Bundle,
    #[command(flatten)]
    question: Question,
    #[command(flatten)]
    offline: offline::OfflineArgs,
}

// Parsed once and moved once: a box would buy nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Subcommand)]
enum Verb {
    /// Judge a stored attestation; every subject must pass
    Attestation(attestation::Attestation),
    /// Judge an artifact by everything stored about its digest
    Artifact(artifact::Artifact),
    /// Judge everything stored about which an anchor decides, newest first
    Anchor(anchor::Anchor),
    #[command(hide = true)]
    Cert(Later),
    #[command(hide = true)]
    CertChain(Later),
}

/// What every question takes.
#[derive(Args)]
#[command(next_help_heading = "The question")]
struct Question {
    /// Assert the signing time (RFC 3339, a date or NOW); not in the future
    #[arg(long, value_name = "TIME")]
    at_time: Option<Moment>,
    /// Answer as this server would have answered then, by what it had
    /// recorded; for a --bundle, which comes only now, it is a what-if
    #[arg(long, value_name = "TIME")]
    as_of: Option<Moment>,
    /// Simulate a later verifier
    #[arg(long, value_name = "TIME")]
    now: Option<Moment>,
    /// The least evidence of time that counts
    #[arg(long, value_name = "CLASS", value_parser = time_evidence())]
    min_time_evidence: Option<String>,
    /// Only what an identity matching this pattern asked for (* stands for
    /// any characters)
    #[arg(long, value_name = "PATTERN")]
    signer: Option<String>,
}

impl Verify {
    /// Offline questions are answered at once.
    #[allow(clippy::result_large_err)]
    pub fn here(self, context: &Context) -> Result<Outcome, Self> {
        match self {
            Self {
                verb: None,
                bundle,
                question,
                offline,
            } if offline.is_asked() => Ok(bundle.run_offline(question, offline, context)),
            Self {
                verb: Some(Verb::Artifact(artifact)),
                ..
            } if artifact.is_offline() => Ok(artifact.run_offline(context)),
            other => Err(other),
        }
    }

    pub async fn run(self, context: &Context) -> Outcome {
        let typed_here = self.bundle.is_asked() || self.question.is_asked() || self.offline.is_asked();
        match self.verb {
            Some(_) if typed_here => Err(CliError::usage(
                "flags of the question stand after `attestation`, `artifact` or `anchor`, not before",
            )
            .next(format!("{} verify attestation --help", context.program))),
            Some(Verb::Attestation(verb)) => verb.run(context).await,
            Some(Verb::Artifact(verb)) => verb.run(context).await,
            Some(Verb::Anchor(verb)) => verb.run(context).await,
            Some(Verb::Cert(verb) | Verb::CertChain(verb)) => verb.run(context).await,
            None => self.bundle.run(self.question, context).await,
        }
    }
}

/// Who asked for a signature is not in a document but in the ledger.
fn no_signer(context: &Context) -> CliError {
    CliError::usage("a bundle does not say who asked for its signature, so --signer cannot be checked").next(
        format!(
            "{} verify attestation ID --signer PATTERN, where it was signed",
            context.program
        ),
    )
}

impl Question {
    fn is_asked(&self) -> bool {
        self.at_time.is_some()
            || self.as_of.is_some()
            || self.now.is_some()
            || self.min_time_evidence.is_some()
            || self.signer.is_some()
    }

    fn into_parts(self) -> (Times, Option<String>) {
        let times = Times {
            at_time: self.at_time.map(String::from),
            as_of: self.as_of.map(String::from),
            now: self.now.map(String::from),
            min_time_evidence: self.min_time_evidence,
        };
        (times, self.signer)
    }
}
