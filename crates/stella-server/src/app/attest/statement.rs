//! From a request to the exact bytes that are to be signed.

use std::borrow::Cow;

use stella_core::api::attestations::{CreateAttestation, SubjectInput};
use stella_core::digest::{Hashed, Sha256};
use stella_core::dsse::{self, IN_TOTO_PAYLOAD_TYPE};
use stella_core::predicate::PredicateType;
use stella_core::purl::SubjectName;
use stella_core::statement::{DigestSet, Statement, Subject};
use stella_store::AttestationRow;

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::app::verify::statement_of;

/// A payload that is a statement within every bound.
#[derive(Debug, Clone)]
pub(in crate::app) struct Draft {
    pub payload: Vec<u8>,
    pub pae: Sha256,
    /// What is signed.
    pub signed: Hashed,
    pub statement: Statement,
    pub kind: PredicateType,
    /// What each subject is called.
    pub names: Vec<Option<SubjectName>>,
    /// By their canonical names, as they are looked up.
    pub subjects: Vec<Subject>,
}

impl Draft {
    /// Of a payload whose package names are package URLs.
    pub fn of(app: &App, payload: Vec<u8>) -> Result<Self> {
        let statement = statement_of(app, &payload)?;
        let signed = Hashed::of(dsse::pae(IN_TOTO_PAYLOAD_TYPE, &payload));
        let subjects = statement.subjects();
        let names = subjects
            .iter()
            .map(|subject| subject.name.as_deref().map(parse_name).transpose())
            .collect::<Result<Vec<_>>>()?;
        let canonical = subjects.iter().zip(&names).map(|(subject, name)| Subject {
            name: name.as_ref().map(SubjectName::to_string),
            digest: subject.digest.clone(),
        });
        Ok(Self {
            subjects: canonical.collect(),
            names,
            pae: signed.sha256(),
            signed,
            kind: PredicateType::from_wire(statement.predicate_type()),
            statement,
            payload,
        })
    }

    /// One for each subject; without a name it is called by its digest.
    pub fn claimed_names(&self) -> impl Iterator<Item = Cow<'_, SubjectName>> {
        let subjects = self.names.iter().zip(&self.subjects);
        subjects.map(|(name, subject)| match name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(SubjectName::Plain(subject.digest.to_string())),
        })
    }
}

impl App {
    pub(super) async fn draft(&self, request: &CreateAttestation) -> Result<Draft> {
        let in_parts =
            request.predicate_type.is_some() || !request.subjects.is_empty() || request.predicate.is_some();
        match (&request.statement, in_parts) {
            (Some(_), true) => Err(Error::invalid(
                "statement.both",
                "give either a whole statement or its parts, not both",
            )),
            (Some(text), false) => {
                let payload = dsse::decode_base64(text)
                    .ok_or_else(|| Error::invalid("statement.base64", "the statement is not base64"))?;
                Draft::of(self, payload)
            }
            (None, _) => self.built(request).await,
        }
    }

    async fn built(&self, request: &CreateAttestation) -> Result<Draft> {
        let kind = request.predicate_type.as_deref().ok_or_else(|| {
            Error::invalid(
                "statement.predicate-type",
                "the statement has no predicate type: give --type",
            )
        })?;
        let kind = PredicateType::from_name(kind).map_err(|e| Error::invalid("predicate.unknown", e))?;
        if request.subjects.len() > self.settings.limits.max_subjects {
            let max = self.settings.limits.max_subjects;
            return Err(Error::invalid(
                "statement.too-many-subjects",
                format!("the statement has more than {max} subjects (limits.maxSubjects)"),
            ));
        }
        let subjects = request
            .subjects
            .iter()
            .map(read_subject)
            .collect::<Result<Vec<_>>>()?;
        let predicate = match &request.predicate {
            Some(text) => text.as_str(),
            None if kind.is_test() => "{}",
            None if request.force == Some(true) => return self.recorded_before(&subjects, &kind).await,
            None => return Err(no_predicate(&kind)),
        };
        let payload = Statement::build(&subjects, kind.as_uri(), predicate, &self.statement_limits())
            .map_err(|e| Error::invalid(e.code(), format!("invalid attestation: {e}")))?;
        Draft::of(self, payload)
    }

    /// The newest statement of this type about exactly these subjects that was
    /// made here and still stands, to be signed anew where `force` came
    /// without a predicate.
    async fn recorded_before(&self, subjects: &[Subject], kind: &PredicateType) -> Result<Draft> {
        let digest = subjects.iter().find_map(|s| s.digest.accepted().next());
        let (algorithm, hex) = digest.ok_or_else(|| no_predicate(kind))?;
        let limit = self.settings.limits.max_attestations_per_artifact;
        let rows = self.store.attestations_by_digest(algorithm, hex, limit).await?;
        let trust = self.trust_head().await?;
        let reusable = |row: &&AttestationRow| {
            !row.imported
                && row.predicate_type == kind.as_uri()
                && row.subjects == subjects
                && !trust.withdrawn.contains_key(&row.pae)
        };
        let newest = rows.iter().filter(reusable).max_by_key(|r| r.id);
        Draft::of(self, newest.ok_or_else(|| no_predicate(kind))?.payload.clone())
    }
}

fn no_predicate(kind: &PredicateType) -> Error {
    Error::invalid(
        "statement.predicate",
        format!(
            "a statement of type {} needs a predicate, and none is recorded to reuse",
            kind.short()
        ),
    )
    .next("give one with --predicate FILE")
}

pub(crate) fn read_subject(input: &SubjectInput) -> Result<Subject> {
    let name = match input.name.as_deref().filter(|n| !n.is_empty()) {
        Some(name) => Some(parse_name(name)?.to_string()),
        None => None,
    };
    let digest = DigestSet::new(input.digest.clone()).map_err(|e| {
        let shown = name.as_deref().unwrap_or("a subject");
        Error::invalid(
            "statement.digest",
            format!("{shown} has no digest that can be read: {e}"),
        )
    })?;
    Ok(Subject { name, digest })
}

fn parse_name(name: &str) -> Result<SubjectName> {
    SubjectName::parse(name).map_err(|e| {
        let shown: String = name.chars().take(200).collect();
        Error::invalid(
            "subject.name",
            format!("{shown:?} begins with pkg: but is no package URL: {e}"),
        )
    })
}
