//! `verify --proof-bundle ADDRESS|FILE`.

use std::path::PathBuf;

use stella_core::api::proofs::{ProofVerdict, VerifyProof};
use stella_core::api::verify::Times;

use super::report;
use crate::api::Route;
use crate::args::digest::Digest;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;

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
        let (proof, file) = if is_address(&self.text) {
            (Some(self.text), self.file)
        } else if self.file.is_some() {
            return Err(CliError::usage(format!(
                "--proof-file goes with an address, and {} is none",
                self.text
            ))
            .next(format!(
                "{} verify --proof-bundle sha256:HEX --proof-file FILE",
                context.program
            )));
        } else {
            (None, Some(PathBuf::from(self.text)))
        };
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
}

fn is_address(text: &str) -> bool {
    text.starts_with("sha256:") || (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}
