//! `verify --proof-bundle ADDRESS|FILE`.

use std::path::PathBuf;

use stella_core::api::proofs::{ProofVerdict, VerifyProof};
use stella_core::api::verify::Times;
use stella_core::digest::Sha256;
use stella_core::verify::ask::Wanted;

use super::report;
use crate::api::Route;
use crate::args::digest::Digest;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::offline::Trust;

/// What was typed, its form decided.
pub(super) struct Proof {
    pub text: String,
    /// Must have that address.
    pub file: Option<PathBuf>,
}

impl Proof {
    pub async fn run(
        self,
        digests: Vec<Digest>,
        purl: Option<String>,
        times: Times,
        context: &Context,
    ) -> Outcome {
        let (proof, file) = self.named(context)?;
        let request = VerifyProof {
            proof,
            document: file.as_deref().map(files::read_text).transpose()?,
            digests: super::artifact::one_artifact(digests)?,
            purl,
            times,
        };
        let route = Route::to(&["verify", "proof"]);
        let verdict: ProofVerdict = context.api().await?.post(&route, &request).await?;
        report::answer_with(context, &verdict, &verdict.report)
    }

    pub fn run_offline(self, wanted: Wanted, times: &Times, trust: &Trust, context: &Context) -> Outcome {
        let (address, file) = self.named(context)?;
        let address = address
            .map(|text| text.parse::<Sha256>())
            .transpose()
            .map_err(|e| CliError::usage(format!("--proof-bundle: {e}")))?;
        let Some(file) = file else {
            return Err(CliError::usage(
                "offline nothing is stored: give the proof itself, --proof-file FILE",
            )
            .next(format!(
                "{} proof export ADDRESS, on the instance",
                context.program
            )));
        };
        let verdict = crate::offline::judge_proof(context, trust, times, wanted, address, &file)?;
        report::answer_with(context, &verdict, &verdict.report)
    }

    /// An address, a file, or both.
    fn named(self, context: &Context) -> Result<(Option<String>, Option<PathBuf>), CliError> {
        if is_address(&self.text) {
            return Ok((Some(self.text), self.file));
        }
        if self.file.is_some() {
            return Err(CliError::usage(format!(
                "--proof-file goes with an address, and {} is none",
                self.text
            ))
            .next(format!(
                "{} verify --proof-bundle sha256:HEX --proof-file FILE",
                context.program
            )));
        }
        Ok((None, Some(PathBuf::from(self.text))))
    }
}

fn is_address(text: &str) -> bool {
    text.starts_with("sha256:") || (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}
