//! `attest create`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use stella_core::api::attestations::{CreateAttestation, Created, SubjectInput};
use stella_server::entropy::{Entropy, SystemEntropy};

use super::many::{Defaults, How, Many};
use super::{describe_all, exit_of, remark};
use crate::api::{Api, Route};
use crate::args::period::Period;
use crate::args::predicate_type;
use crate::args::subject::{Subject, image};
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;

/// Have a statement about subjects signed
#[derive(Args)]
pub struct Create {
    /// Predicate type: a short name (cyclonedx, spdxjson, slsaprovenance1, openvex, vuln, test, ...) or a URI
    #[arg(long = "type", value_name = "TYPE", value_parser = predicate_type, required_unless_present = "many")]
    predicate_type: Option<String>,
    /// NAME@sha256:HEX, NAME:sha256:HEX, sha256:HEX, a file, or a test name such as test:verification
    #[arg(long = "subject", value_name = "SUBJECT", required_unless_present_any = ["image", "many"])]
    subjects: Vec<String>,
    /// The predicate, as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    predicate: Option<PathBuf>,
    /// Who signs: one envelope for each profile
    #[arg(
        long = "profile",
        visible_alias = "profiles",
        value_name = "PROFILE,...",
        value_delimiter = ','
    )]
    profiles: Vec<String>,
    /// Names the subject: the package URL by which it will be verified
    #[arg(long, value_name = "PURL", conflicts_with = "image")]
    purl: Option<String>,
    /// A container image, REGISTRY/REPOSITORY@sha256:HEX: its package URL names the subject
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Write the Sigstore bundle here (of several profiles: one on each line)
    #[arg(long, value_name = "OUT")]
    bundle: Option<PathBuf>,
    /// Sign anew where an equal attestation exists
    #[arg(long)]
    force: bool,
    /// How long to hold the answer
    #[arg(long, default_value = "logged", value_parser = PossibleValuesParser::new(["recorded", "signed", "logged"]))]
    wait: String,
    /// Longest time to wait for the answer
    #[arg(long, value_name = "PERIOD")]
    timeout: Option<Period>,
    /// Recorded but not yet signed is good enough: end with 0
    #[arg(long)]
    accept_recorded: bool,
    #[command(flatten)]
    many: Many,
}

impl Create {
    pub async fn run(self, context: &Context) -> Outcome {
        let limit = self
            .timeout
            .map(|t| Duration::from_secs(t.seconds_from(context.now())));
        if self.many.is_asked() {
            let how = How {
                defaults: Defaults {
                    predicate_type: self.predicate_type,
                    profiles: self.profiles,
                    force: self.force,
                },
                wait: self.wait,
                accept_recorded: self.accept_recorded,
                patience: limit,
            };
            return self.many.run(how, context).await;
        }
        let request = CreateAttestation {
            statement: None,
            predicate_type: self.predicate_type.clone(),
            subjects: self.subjects(context)?,
            predicate: self.predicate.as_deref().map(files::read_text).transpose()?,
            profiles: self.profiles.clone(),
            force: Some(self.force),
        };
        let api = match limit {
            Some(limit) => context.patient_api(limit + Duration::from_secs(1)).await?,
            None => context.api().await?,
        };
        let created = self.send(context, &api, &request, limit).await?;
        if let Some(out) = &self.bundle {
            write_bundles(context, &api, &created, out).await.map_err(|e| {
                e.because(format!("the attestation was made all the same: {}", created.id))
                    .next(format!("{} attest show {} --bundle", context.program, created.id))
            })?;
        }
        context.printer.answer(&created, |page| {
            describe_all(page, &created.attestations);
            page.brief(&created.id);
        })?;
        for attestation in &created.attestations {
            remark(context, attestation);
        }
        Ok(exit_of(&created.attestations, self.accept_recorded))
    }

    fn subjects(&self, context: &Context) -> Result<Vec<SubjectInput>, CliError> {
        let parsed: Vec<Subject> = self
            .subjects
            .iter()
            .map(|text| Subject::parse(text))
            .collect::<Result<_, _>>()?;
        let image = self.image.as_deref().map(image).transpose()?;
        let purl = match &image {
            Some((purl, _)) => Some(purl.as_str()),
            None => self.purl.as_deref(),
        };
        if let (Some((purl, digest)), true) = (&image, parsed.is_empty()) {
            let named = Subject::Named {
                name: Some(purl.clone()),
                digest: digest.clone(),
            };
            return Ok(vec![named.resolve(None, false)?]);
        }
        if purl.is_some() && parsed.len() > 1 {
            return Err(CliError::usage("one name was given for several subjects")
                .next("name each one: --subject PURL@sha256:HEX"));
        }
        let subjects: Vec<SubjectInput> = parsed
            .into_iter()
            .map(|subject| subject.resolve(purl, context.shows_progress()))
            .collect::<Result<_, _>>()?;
        // Another file under the image's name would be a lie about the image.
        if let Some((purl, digest)) = &image
            && subjects
                .iter()
                .any(|s| s.digest.get(&digest.algorithm) != Some(&digest.hex))
        {
            return Err(
                CliError::usage(format!("the subject's digest is not that of {purl}"))
                    .next("leave --subject out: the image is the subject"),
            );
        }
        Ok(subjects)
    }

    /// A repetition over a broken connection must not sign twice, with
    /// `--force` least of all.
    async fn send(
        &self,
        context: &Context,
        api: &Api,
        request: &CreateAttestation,
        limit: Option<Duration>,
    ) -> Result<Created, CliError> {
        let route = Route::to(&["attestations"]).with("wait", Some(&self.wait));
        let key = idempotency_key()?;
        let sending = api.post_once(&route, request, &key);
        let Some(limit) = limit else {
            return sending.await;
        };
        tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
            Err(CliError::new(
                Exit::Unavailable,
                "cli.timeout",
                format!("no answer within {} s", limit.as_secs()),
            )
            .because("whether it was recorded is not known; it is safe to ask again")
            .next(format!("{} attest list", context.program)))
        })
    }
}

async fn write_bundles(context: &Context, api: &Api, created: &Created, out: &Path) -> Result<(), CliError> {
    let mut lines = Vec::new();
    for attestation in created.attestations.iter().filter(|a| a.state == "signed") {
        let route = Route::to(&["attestations", &attestation.id, "bundle"]);
        lines.push(api.bytes(&route).await?);
    }
    if lines.is_empty() {
        context.printer.warn(&format!(
            "{} was not written: there is no signature yet",
            out.display()
        ));
        return Ok(());
    }
    let bytes = match lines.as_slice() {
        [one] => one.clone(),
        several => several
            .iter()
            .flat_map(|line| [line, &b"\n"[..]].concat())
            .collect(),
    };
    files::write_atomically(out, &bytes)?;
    context.printer.detail(&format!("wrote {}", out.display()));
    Ok(())
}

fn idempotency_key() -> Result<String, CliError> {
    let mut bytes = [0; 16];
    SystemEntropy
        .fill(&mut bytes)
        .map_err(|e| CliError::new(Exit::Unavailable, "entropy.unavailable", e))?;
    Ok(hex::encode(bytes))
}
