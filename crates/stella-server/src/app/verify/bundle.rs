//! `verify --bundle`: a document that the asker brings.

use stella_core::api::verify::{VerdictReport, VerifyBundle};
use stella_core::bundle::Document;
use stella_core::verify::artifact::{Artifact, Candidate, judge};
use stella_core::verify::{Check, Code, Judgement, SignedStatement};

use super::artifact::{artifact, assemble, name, types};
use super::evidence::KnownSignature;
use super::{Judged, Question, judge_subjects, report};
use crate::app::error::Result;
use crate::app::{App, Caller};

/// A document has no id, and a statement signed again keeps its PAE: this one
/// is later than any successor, so that a document is judged by itself.
const REFERENCE: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

impl App {
    pub async fn verify_bundle(&self, caller: &Caller, request: VerifyBundle) -> Result<VerdictReport> {
        let question = self.question(caller, &request.times).await?;
        let bound = artifact(request.digests, request.purl.as_deref(), &request.require_types)?;
        let asked_name = request.purl.as_deref().map(name).transpose()?;
        let required = types(&request.require_types)?;
        let subject = match (&asked_name, &bound) {
            (Some(name), _) => name.to_string(),
            (None, Some(artifact)) => artifact.digest.to_string(),
            (None, None) => String::new(),
        };
        let opened = match Document::parse(request.document.as_bytes(), &self.envelope_limits()) {
            Ok(document) => self.open_document(&question, &document).await?,
            Err(e) => {
                let detail = format!("invalid attestation: {e} ({})", e.code());
                Err(Check::stop("envelope", Code::EnvelopeInvalid, detail))
            }
        };
        let mut answer = match (opened, bound) {
            (Err(check), _) => of_parts(&question, vec![report::stopped(subject, check)]),
            (Ok(statement), Some(artifact)) => judge_bound(&question, &artifact, statement),
            (Ok(statement), None) => match asked_name {
                Some(name) => of_parts(&question, vec![judge_named(&question, &name, &statement)]),
                None => of_parts(&question, judge_subjects(&question, &statement)),
            },
        };
        if !answer.artifact_bound && !required.is_empty() {
            require(&mut answer, &required);
        }
        self.log_verdict(&question, caller, &answer).await;
        Ok(answer)
    }

    /// The document's signatures alone, with what this server knows of them.
    async fn open_document(
        &self,
        question: &Question,
        document: &Document,
    ) -> Result<std::result::Result<SignedStatement, Check>> {
        let envelope = &document.envelope;
        let brought = [(envelope.pae_digest(), envelope.signatures.as_slice())];
        let known = self.known_of(question, &brought).await?.concat();
        let cases = known.iter().map(KnownSignature::case).collect();
        Ok(SignedStatement::open(
            &envelope.payload_type,
            &envelope.payload,
            cases,
            &self.statement_limits(),
        ))
    }
}

fn judge_bound(question: &Question, artifact: &Artifact, statement: SignedStatement) -> VerdictReport {
    let candidate = Candidate {
        reference: REFERENCE.to_owned(),
        unsigned: false,
        other_signer: false,
        statement,
    };
    let judged = judge(
        question.verifier(),
        artifact,
        &[candidate],
        &mut question.budget(),
    );
    let mut answer = assemble(question, &judged);
    answer.attestation_id = None;
    for part in &mut answer.parts {
        part.attestation_id = None;
    }
    answer.artifact_bound = true;
    answer
}

/// Under the asker's name: a subject must bear it, or no package's name at all.
fn judge_named(
    question: &Question,
    name: &stella_core::purl::SubjectName,
    statement: &SignedStatement,
) -> Judgement {
    use stella_core::purl::SubjectName;
    let bears =
        statement
            .statement
            .subjects()
            .iter()
            .any(|s| match s.name.as_deref().map(SubjectName::parse) {
                None | Some(Ok(SubjectName::Plain(_))) => true,
                Some(Ok(claimed)) => claimed == *name,
                Some(Err(_)) => false,
            });
    if bears {
        return statement.judge(question.verifier(), name, &mut question.budget());
    }
    let code = Code::SubjectOtherName;
    let mut judgement = report::stopped(name.to_string(), Check::stop("subject", code, code.meaning()));
    judgement.predicate_type = statement.predicate_type.short().into_owned();
    judgement
}

fn of_parts(question: &Question, parts: Vec<Judgement>) -> VerdictReport {
    let judged = Judged::of(parts);
    let now = question.moment.now;
    let mut answer = match judged.deciding() {
        Some(part) => report::of_one(part, now),
        None => report::of_one(
            &report::stopped(
                String::new(),
                Check::stop("envelope", judged.code, judged.code.meaning()),
            ),
            now,
        ),
    };
    answer.parts = judged.parts.iter().map(|p| report::part(None, true, p)).collect();
    answer.next = report::next(&answer, judged.code);
    answer
}

/// A document holds one statement, so it can bring one of the types asked for.
fn require(
    answer: &mut VerdictReport,
    required: &std::collections::BTreeSet<stella_core::predicate::PredicateType>,
) {
    let missing: Vec<String> = required
        .iter()
        .map(|t| t.short().into_owned())
        .filter(|t| answer.predicate_type.as_ref() != Some(t))
        .collect();
    if missing.is_empty() || answer.verdict != "PASS" {
        return;
    }
    let code = Code::AttestationMissing;
    let check = Check::stop(
        "type",
        code,
        format!("{}: not in this document", missing.join(", ")),
    );
    answer.trace.extend(report::trace(&[check]));
    answer.verdict = code.verdict().to_string();
    answer.code = code.to_string();
    answer.next = report::next(answer, code);
}
