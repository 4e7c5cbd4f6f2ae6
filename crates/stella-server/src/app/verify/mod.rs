//! Verification: evidence from the store, judged by the engine.

mod artifact;
mod attestation;
mod bundle;
pub(crate) mod evidence;
mod proof;
mod question;
mod report;
mod signer;

use std::collections::HashMap;

use stella_core::digest::Sha256;
use stella_core::dsse::EnvelopeLimits;
use stella_core::id::AnchorId;
use stella_core::json::JsonLimits;
use stella_core::purl::SubjectName;
use stella_core::statement::{Statement, StatementLimits, Subject};
use stella_core::verify::{Check, Code, Judgement, SignedStatement, Verdict};
use stella_store::{AttestationRow, STORED_STATEMENT};

pub use question::Question;

use crate::app::App;
use crate::app::error::Result;
use evidence::KnownSignature;

/// How a stored attestation is judged: once for each subject, and of these
/// the gravest.
#[derive(Debug, Clone)]
pub struct Judged {
    pub verdict: Verdict,
    pub code: Code,
    pub anchor_id: Option<AnchorId>,
    /// Never empty.
    pub parts: Vec<Judgement>,
}

impl App {
    /// The one way to judge what is stored: every subject under its own
    /// claimed name, with every signature known over the same statement.
    pub async fn judge_stored(&self, question: &Question, row: &AttestationRow) -> Result<Judged> {
        let mut known = self.known_signatures(question, [row.pae]).await?;
        Ok(judge_with(
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
            .map(|row| judge_with(question, row, known.get(&row.pae).cloned().unwrap_or_default()))
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

    pub(crate) fn envelope_limits(&self) -> EnvelopeLimits {
        EnvelopeLimits {
            json: self.json_limits(),
            max_signatures: self.settings.limits.max_signatures,
        }
    }
}

fn judge_with(question: &Question, row: &AttestationRow, known: Vec<KnownSignature>) -> Judged {
    if !is_signed(row, question) {
        return Judged::of(vec![unsigned(row)]);
    }
    match open_stored(question, row, known) {
        Ok(statement) => Judged::of(judge_subjects(question, &statement)),
        Err(check) => Judged::of(vec![unreadable(row, check)]),
    }
}

/// The statement of a row with the signatures it is judged by.
fn open_stored(
    question: &Question,
    row: &AttestationRow,
    known: Vec<KnownSignature>,
) -> std::result::Result<SignedStatement, Check> {
    let pae = stella_core::dsse::pae(&row.payload_type, &row.payload);
    let limit = question.policy.limits.max_signatures;
    let cases = evidence::choose(&question.trust, &pae, known, limit)
        .iter()
        .map(KnownSignature::case)
        .collect();
    SignedStatement::open(&row.payload_type, &row.payload, cases, &STORED_STATEMENT)
}

impl Judged {
    fn of(parts: Vec<Judgement>) -> Self {
        let gravest = parts.iter().min_by_key(|p| gravity(p.code));
        Self {
            verdict: gravest.map_or(Verdict::Indeterminate, |p| p.verdict),
            code: gravest.map_or(Code::AttestationNone, |p| p.code),
            anchor_id: gravest.and_then(|p| p.anchor_id),
            parts,
        }
    }

    /// The part that decides.
    pub fn deciding(&self) -> Option<&Judgement> {
        self.parts.iter().find(|p| p.code == self.code)
    }
}

/// Of several verdicts the first in the order of exit codes 12, 13, 11, 10 wins.
pub fn gravity(code: Code) -> u8 {
    match (code.verdict(), code) {
        (Verdict::Fail, _) => 0,
        (_, Code::AnchorNone) => 1,
        (Verdict::Indeterminate, Code::AttestationNone) => 3,
        (Verdict::Indeterminate, _) => 2,
        (Verdict::Pass, _) => 4,
    }
}

fn is_signed(row: &AttestationRow, question: &Question) -> bool {
    let by = |t| question.known_by.is_none_or(|k| t <= k);
    row.signed.as_ref().is_some_and(|s| by(s.recorded_at))
}

fn judge_subjects(question: &Question, statement: &SignedStatement) -> Vec<Judgement> {
    let mut budget = question.budget();
    statement
        .statement
        .subjects()
        .iter()
        .map(|subject| match claimed_name(subject) {
            Ok(name) => statement.judge(question.verifier(), &name, &mut budget),
            Err(why) => Judgement {
                verdict: Code::SubjectName.verdict(),
                code: Code::SubjectName,
                subject: subject.name.clone().unwrap_or_default(),
                predicate_type: statement.predicate_type.short().into_owned(),
                anchor_id: None,
                trace: vec![Check::stop("subject", Code::SubjectName, why)],
            },
        })
        .collect()
}

/// What a subject calls itself; one without a name is called by its digest.
pub(crate) fn claimed_name(subject: &Subject) -> std::result::Result<SubjectName, String> {
    match &subject.name {
        Some(name) => SubjectName::parse(name).map_err(|e| e.to_string()),
        None => Ok(SubjectName::Plain(subject.digest.to_string())),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_of_several_verdicts_wins() {
        let mut codes = [
            Code::Ok,
            Code::AttestationNone,
            Code::TimeNotProven,
            Code::AnchorNone,
            Code::KeyRevoked,
        ];
        codes.sort_by_key(|c| gravity(*c));
        assert_eq!(
            codes,
            [
                Code::KeyRevoked,
                Code::AnchorNone,
                Code::TimeNotProven,
                Code::AttestationNone,
                Code::Ok
            ]
        );
    }
}
