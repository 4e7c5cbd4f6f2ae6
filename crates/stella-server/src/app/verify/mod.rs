//! Verification: evidence from the store, judged by the engine.

pub(in crate::app) mod anchor;
mod artifact;
mod attestation;
mod bundle;
mod bundles;
pub(crate) mod evidence;
mod proof;
mod question;
mod report;
mod shared_out;
mod signer;

use std::collections::HashMap;

use stella_core::digest::Sha256;
use stella_core::dsse::EnvelopeLimits;
use stella_core::json::JsonLimits;
use stella_core::statement::{Statement, StatementLimits, Subject};
use stella_core::verify::document::{self, DocumentLimits};
use stella_core::verify::{Budget, Check, Code, Judgement, SignatureCase, SignedStatement};
use stella_store::{AttestationRow, STORED_STATEMENT};

pub use question::Question;
pub use stella_core::verify::document::Judged;
pub(crate) use stella_core::verify::document::claimed_name;

use crate::app::App;
use crate::app::attest::Draft;
use crate::app::error::Result;
use evidence::KnownSignature;

impl App {
    /// The one way to judge what is stored: every subject under its own
    /// claimed name, with every signature known over the same statement.
    pub async fn judge_stored(&self, question: &Question, row: &AttestationRow) -> Result<Judged> {
        let mut known = self.known_signatures(question, [row.pae]).await?;
        Ok(judge_known(
            question,
            row,
            known.remove(&row.pae).unwrap_or_default(),
        ))
    }

    /// The same for many, with one look into the ledger; in the order given.
    pub async fn judge_many(&self, question: &Question, rows: &[AttestationRow]) -> Result<Vec<Judged>> {
        let known: HashMap<Sha256, Vec<KnownSignature>> = self
            .known_signatures(question, rows.iter().map(|r| r.pae))
            .await?;
        Ok(rows
            .iter()
            .map(|row| judge_known(question, row, known.get(&row.pae).cloned().unwrap_or_default()))
            .collect())
    }

    pub(crate) fn json_limits(&self) -> JsonLimits {
        JsonLimits {
            max_bytes: self.settings.limits.max_body_bytes,
            max_depth: self.settings.limits.max_json_depth,
        }
    }

    pub(crate) fn statement_limits(&self) -> StatementLimits {
        StatementLimits {
            json: self.json_limits(),
            max_subjects: self.settings.limits.max_subjects,
        }
    }

    pub(crate) fn document_limits(&self) -> DocumentLimits {
        DocumentLimits {
            envelope: self.envelope_limits(),
            statement: self.statement_limits(),
            max_members: self.settings.limits.max_proof_members,
        }
    }

    pub(crate) fn envelope_limits(&self) -> EnvelopeLimits {
        EnvelopeLimits {
            json: self.json_limits(),
            max_signatures: self.settings.limits.max_signatures,
        }
    }
}

/// With these signatures, and no others.
pub(in crate::app) fn judge_known(
    question: &Question,
    row: &AttestationRow,
    known: Vec<KnownSignature>,
) -> Judged {
    let budget = &mut question.budget();
    judge_opened(question, row, known, |statement| {
        document::judge_subjects(question.verifier(), statement, budget)
    })
}

/// The same of a row whose statement was read before, at the cost of this
/// budget, and without traces.
pub(in crate::app) fn judge_silently(
    question: &Question,
    row: &AttestationRow,
    draft: &Draft,
    known: Vec<KnownSignature>,
    budget: &mut Budget,
) -> Judged {
    if !is_signed(row, question) {
        return Judged::of(vec![unsigned(row)]);
    }
    let cases = cases(question, row, known);
    let statement = draft.statement.clone();
    let statement = SignedStatement::read(statement, &row.payload, draft.signed.clone(), cases);
    let names = draft.claimed_names();
    let verifier = question.verifier();
    Judged::of(document::judge_names_silently(
        verifier, &statement, names, budget,
    ))
}

fn judge_opened(
    question: &Question,
    row: &AttestationRow,
    known: Vec<KnownSignature>,
    judge: impl FnOnce(&SignedStatement) -> Vec<Judgement>,
) -> Judged {
    if !is_signed(row, question) {
        return Judged::of(vec![unsigned(row)]);
    }
    match open_stored(question, row, known) {
        Ok(statement) => Judged::of(judge(&statement)),
        Err(check) => Judged::of(vec![unreadable(row, check)]),
    }
}

/// The statement of a row with the signatures it is judged by.
fn open_stored(
    question: &Question,
    row: &AttestationRow,
    known: Vec<KnownSignature>,
) -> std::result::Result<SignedStatement, Check> {
    let cases = cases(question, row, known);
    SignedStatement::open(&row.payload_type, &row.payload, cases, &STORED_STATEMENT)
}

/// Those of the signatures that are judged.
fn cases(question: &Question, row: &AttestationRow, known: Vec<KnownSignature>) -> Vec<SignatureCase> {
    let limit = question.policy.limits.max_signatures;
    let pae = || stella_core::dsse::pae(&row.payload_type, &row.payload);
    let chosen = evidence::choose(&question.trust, pae, known, limit);
    chosen.iter().map(KnownSignature::case).collect()
}

fn is_signed(row: &AttestationRow, question: &Question) -> bool {
    let by = |t| question.known_by.is_none_or(|k| t <= k);
    row.signed.as_ref().is_some_and(|s| by(s.recorded_at))
}

fn unsigned(row: &AttestationRow) -> Judgement {
    let detail = match &row.attempts.last_error {
        Some(error) => format!("recorded, not signed yet: {error}"),
        None => "recorded, not signed yet".to_owned(),
    };
    unreadable(row, Check::stop("attestation", Code::AttestationUnsigned, detail))
}

fn unreadable(row: &AttestationRow, check: Check) -> Judgement {
    let code = check.code.unwrap_or(Code::StatementInvalid);
    Judgement {
        verdict: code.verdict(),
        code,
        subject: first_name(&row.subjects),
        predicate_type: stella_core::predicate::PredicateType::from_wire(&row.predicate_type)
            .short()
            .into_owned(),
        anchor_id: None,
        trace: vec![check],
    }
}

fn first_name(subjects: &[Subject]) -> String {
    subjects
        .first()
        .map(|s| s.name.clone().unwrap_or_else(|| s.digest.to_string()))
        .unwrap_or_default()
}

/// Reads a payload's statement by this server's limits.
pub(crate) fn statement_of(app: &App, payload: &[u8]) -> Result<Statement> {
    Statement::parse(payload, &app.statement_limits())
        .map_err(|e| crate::app::Error::invalid(e.code(), format!("invalid attestation: {e}")))
}
