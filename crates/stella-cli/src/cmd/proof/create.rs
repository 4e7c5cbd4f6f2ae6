//! `proof create`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::attestations::SubjectInput;
use stella_core::api::proofs::{CreateProof, Proof};

use super::{describe, remark};
use crate::api::Route;
use crate::args::subject::{Subject, image};
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// List what is attested about a subject under one signature
#[derive(Args)]
pub struct Create {
    /// The attestations, in the proof's order (default: of each type of
    /// evidence, reasoning and VEX about the subject the newest that passes)
    #[arg(value_name = "ATTESTATION_ID")]
    attestations: Vec<String>,
    /// The same, as a flag
    #[arg(long = "attestation", alias = "id", value_name = "ATTESTATION_ID")]
    more: Vec<String>,
    /// What it is about: NAME@sha256:HEX, sha256:HEX, or a file (default: what
    /// the first attestation is about)
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Names the subject: the package URL by which it will be verified
    #[arg(long, value_name = "PURL", conflicts_with = "image", requires = "subject")]
    purl: Option<String>,
    /// A container image, REGISTRY/REPOSITORY@sha256:HEX
    #[arg(long, value_name = "IMAGE", conflicts_with = "subject")]
    image: Option<String>,
    /// Who signs it: several where the anchor asks for several keys
    #[arg(
        long = "profile",
        visible_alias = "profiles",
        value_name = "PROFILE,...",
        value_delimiter = ','
    )]
    profiles: Vec<String>,
    /// Write the bundle here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign anew where an equal proof exists
    #[arg(long)]
    force: bool,
    /// Recorded but not yet signed is good enough: end with 0
    #[arg(long)]
    accept_recorded: bool,
}

impl Create {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = CreateProof {
            subject: self.subject(context)?,
            members: [self.attestations, self.more].concat(),
            profiles: self.profiles,
            force: self.force,
        };
        if request.subject.is_none() && request.members.is_empty() {
            return Err(
                CliError::usage("what to prove something about was not said").next(format!(
                    "{} proof create --subject PURL@sha256:HEX, or proof create ATTESTATION_ID...",
                    context.program
                )),
            );
        }
        let api = context.api().await?;
        let proof: Proof = api.post(&Route::to(&["proofs"]), &request).await?;
        if let (Some(out), Some(id)) = (&self.out, &proof.id) {
            let bytes = api.bytes(&Route::to(&["proofs", id, "bundle"])).await?;
            files::write_atomically(out, &bytes)?;
            context.printer.detail(&format!("wrote {}", out.display()));
        }
        context.printer.answer(&proof, |page| describe(page, &proof))?;
        remark(context, &proof);
        if let (Some(out), None) = (&self.out, &proof.id) {
            context
                .printer
                .warn(&format!("{} was not written", out.display()));
        }
        Ok(if proof.id.is_some() || self.accept_recorded {
            Exit::Done
        } else {
            Exit::Recorded
        })
    }

    fn subject(&self, context: &Context) -> Result<Option<SubjectInput>, CliError> {
        let progress = context.shows_progress();
        if let Some(image) = self.image.as_deref().map(image).transpose()? {
            let (name, digest) = image;
            let named = Subject::Named {
                name: Some(name),
                digest,
            };
            return named.resolve(None, progress).map(Some);
        }
        self.subject
            .as_deref()
            .map(|text| Subject::parse(text)?.resolve(self.purl.as_deref(), progress))
            .transpose()
    }
}
