//! A document that the asker brings: an envelope or a bundle with nothing
//! stored beside it. Server and offline verifier answer through here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::api::verify::VerdictReport;
use crate::bundle::Document;
use crate::bundle::proof::ProofLimits;
use crate::dsse::EnvelopeLimits;
use crate::evidence::Ledger;
use crate::id::AnchorId;
use crate::predicate::PredicateType;
use crate::purl::SubjectName;
use crate::statement::{StatementLimits, Subject};
use crate::time::Timestamp;
use crate::verify::artifact::{self, Artifact, ArtifactJudgement, Candidate};
use crate::verify::ask::Wanted;
use crate::verify::{
    Budget, Check, Code, Judgement, SignatureCase, SignedStatement, Verdict, Verifier, report,
};

/// A document has no id, and a statement signed again keeps its PAE: this one
/// is later than any successor, so that a document is judged by itself.
const REFERENCE: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    pub envelope: EnvelopeLimits,
    pub statement: StatementLimits,
    /// Of a proof bundle.
    pub max_members: usize,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self {
            envelope: EnvelopeLimits::default(),
            statement: StatementLimits::default(),
            max_members: ProofLimits::default().max_members,
        }
    }
}

impl DocumentLimits {
    pub fn proof(&self) -> ProofLimits {
        ProofLimits {
            json: self.envelope.json,
            max_members: self.max_members,
            max_signatures: self.envelope.max_signatures,
        }
    }
}

/// How a statement is judged: once for each subject, and of these the
/// gravest.
#[derive(Debug, Clone)]
pub struct Judged {
    pub verdict: Verdict,
    pub code: Code,
    pub anchor_id: Option<AnchorId>,
    /// Never empty.
    pub parts: Vec<Judgement>,
}

impl Judged {
    pub fn of(parts: Vec<Judgement>) -> Self {
        let gravest = parts.iter().min_by_key(|p| p.code.gravity());
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

/// What a subject calls itself; one without a name is called by its digest.
pub fn claimed_name(subject: &Subject) -> Result<SubjectName, String> {
    match &subject.name {
        Some(name) => SubjectName::parse(name).map_err(|e| e.to_string()),
        None => Ok(SubjectName::Plain(subject.digest.to_string())),
    }
}

/// Every subject under its own claimed name.
pub fn judge_subjects(v: Verifier<'_>, statement: &SignedStatement, budget: &mut Budget) -> Vec<Judgement> {
    each_subject(statement, |name| statement.judge(v, name, budget))
}

/// The same without traces, for whoever only asks how it ends.
pub fn judge_subjects_silently(
    v: Verifier<'_>,
    statement: &SignedStatement,
    budget: &mut Budget,
) -> Vec<Judgement> {
    each_subject(statement, |name| statement.judge_silently(v, name, budget))
}

/// The same under names that were read of the subjects before, one for each.
pub fn judge_names_silently<'a>(
    v: Verifier<'_>,
    statement: &SignedStatement,
    names: impl Iterator<Item = Cow<'a, SubjectName>>,
    budget: &mut Budget,
) -> Vec<Judgement> {
    let judged = names.map(|name| statement.judge_silently(v, &name, budget));
    judged.collect()
}

fn each_subject(
    statement: &SignedStatement,
    mut judge: impl FnMut(&SubjectName) -> Judgement,
) -> Vec<Judgement> {
    statement
        .statement
        .subjects()
        .iter()
        .map(|subject| match claimed_name(subject) {
            Ok(name) => judge(&name),
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

/// The statement of a document as nobody but its bringer knows it: no time
/// evidence beside the signatures, no ledger.
pub fn open(bytes: &[u8], limits: &DocumentLimits) -> Result<SignedStatement, Check> {
    let document = Document::parse_lines(bytes, &limits.envelope).map_err(|e| {
        let detail = format!("invalid attestation: {e} ({})", e.code());
        Check::stop("envelope", Code::EnvelopeInvalid, detail)
    })?;
    let envelope = document.envelope;
    let cases = envelope
        .signatures
        .into_iter()
        .map(|s| SignatureCase {
            keyid: s.keyid,
            sig: s.sig,
            evidence: Vec::new(),
            ledger: Ledger::NotConsulted,
        })
        .collect();
    SignedStatement::open(
        &envelope.payload_type,
        &envelope.payload,
        cases,
        &limits.statement,
    )
}

/// One document and what is asked about it.
pub fn judge(
    v: Verifier<'_>,
    wanted: &Wanted,
    opened: Result<SignedStatement, Check>,
    budget: &mut Budget,
) -> VerdictReport {
    let now = v.moment.now;
    let subject = match (&wanted.name, &wanted.artifact) {
        (Some(name), _) => name.to_string(),
        (None, Some(artifact)) => artifact.digest.to_string(),
        (None, None) => String::new(),
    };
    let mut answer = match (opened, &wanted.artifact) {
        (Err(check), _) => of_parts(vec![report::stopped(subject, check)], now),
        (Ok(statement), Some(artifact)) => judge_bound(v, artifact, statement, budget),
        (Ok(statement), None) => match &wanted.name {
            Some(name) => of_parts(vec![judge_named(v, name, &statement, budget)], now),
            None => of_parts(judge_subjects(v, &statement, budget), now),
        },
    };
    if !answer.artifact_bound {
        require(&mut answer, &wanted.types);
    }
    answer
}

/// The same for whoever asks about very many: of what passes is told what it is
/// and who decided, and the rest in full.
pub fn judge_briefly(
    v: Verifier<'_>,
    wanted: &Wanted,
    opened: Result<SignedStatement, Check>,
    budget: &mut Budget,
) -> VerdictReport {
    let statement = match opened {
        Ok(statement) if wanted.artifact.is_none() && wanted.name.is_none() => statement,
        opened => return judge(v, wanted, opened, budget),
    };
    let mut judged = Judged::of(judge_subjects_silently(v, &statement, budget));
    if judged.verdict != Verdict::Pass {
        // Every signature that was checked is known by now: the answer is the
        // same, and now it is told.
        judged = Judged::of(judge_subjects(v, &statement, budget));
    }
    let mut answer = match judged.parts.first() {
        Some(first) if judged.verdict == Verdict::Pass => VerdictReport {
            verdict: judged.verdict.to_string(),
            code: judged.code.to_string(),
            subject: first.subject.clone(),
            predicate_type: Some(first.predicate_type.clone()),
            attestation_id: None,
            anchor_id: judged.anchor_id.map(|id| id.to_string()),
            artifact_bound: false,
            trace: Vec::new(),
            parts: Vec::new(),
            next: None,
            now: v.moment.now.to_string(),
        },
        _ => of_judged(&judged, v.moment.now),
    };
    require(&mut answer, &wanted.types);
    answer
}

/// One artifact and every document that may speak about it, each with the
/// name under which it is shown. Signatures over one statement are taken
/// together, from however many documents.
pub fn judge_artifact(
    v: Verifier<'_>,
    artifact: &Artifact,
    documents: Vec<(String, Result<SignedStatement, Check>)>,
    budget: &mut Budget,
) -> VerdictReport {
    let mut broken = Vec::new();
    let mut names = Vec::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    for (name, opened) in documents {
        match opened {
            Ok(statement) => match candidates
                .iter_mut()
                .position(|c| c.statement.pae == statement.pae)
            {
                Some(same) => merge(&mut candidates, &mut names, same, name, statement),
                None => {
                    names.push(name);
                    candidates.push(Candidate {
                        reference: REFERENCE.to_owned(),
                        unsigned: false,
                        other_signer: false,
                        statement,
                    });
                }
            },
            Err(check) => broken.push((name, report::stopped(artifact.digest.to_string(), check))),
        }
    }
    let mut judged = artifact::judge(v, artifact, &candidates, budget);
    for (candidate, name) in judged.attestations.iter_mut().zip(&names) {
        candidate.judgement.trace.insert(0, Check::pass("document", name));
    }
    let mut answer = assemble(&judged, v.moment.now);
    unnamed(&mut answer, judged.code);
    answer
        .parts
        .extend(broken.into_iter().map(|(name, mut judgement)| {
            judgement.trace.insert(0, Check::pass("document", name));
            report::part(None, false, &judgement)
        }));
    answer.artifact_bound = true;
    answer
}

fn merge(
    candidates: &mut [Candidate],
    names: &mut [String],
    same: usize,
    name: String,
    statement: SignedStatement,
) {
    let (Some(candidate), Some(names)) = (candidates.get_mut(same), names.get_mut(same)) else {
        return;
    };
    names.push_str(", ");
    names.push_str(&name);
    for case in statement.signatures {
        if !candidate.statement.signatures.contains(&case) {
            candidate.statement.signatures.push(case);
        }
    }
}

fn judge_bound(
    v: Verifier<'_>,
    artifact: &Artifact,
    statement: SignedStatement,
    budget: &mut Budget,
) -> VerdictReport {
    let candidate = Candidate {
        reference: REFERENCE.to_owned(),
        unsigned: false,
        other_signer: false,
        statement,
    };
    let judged = artifact::judge(v, artifact, &[candidate], budget);
    let mut answer = assemble(&judged, v.moment.now);
    unnamed(&mut answer, judged.code);
    answer.artifact_bound = true;
    answer
}

/// A document is stored nowhere under an id.
fn unnamed(answer: &mut VerdictReport, code: Code) {
    answer.attestation_id = None;
    for part in &mut answer.parts {
        part.attestation_id = None;
    }
    answer.next = report::next(answer, code);
}

/// Under the asker's name: a subject must bear it, or no package's name at all.
fn judge_named(
    v: Verifier<'_>,
    name: &SubjectName,
    statement: &SignedStatement,
    budget: &mut Budget,
) -> Judgement {
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
        return statement.judge(v, name, budget);
    }
    let code = Code::SubjectOtherName;
    let mut judgement = report::stopped(name.to_string(), Check::stop("subject", code, code.meaning()));
    judgement.predicate_type = statement.predicate_type.short().into_owned();
    judgement
}

fn of_parts(parts: Vec<Judgement>, now: Timestamp) -> VerdictReport {
    of_judged(&Judged::of(parts), now)
}

fn of_judged(judged: &Judged, now: Timestamp) -> VerdictReport {
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
fn require(answer: &mut VerdictReport, required: &BTreeSet<PredicateType>) {
    let missing: Vec<String> = required
        .iter()
        .map(|t| t.short().into_owned())
        .filter(|t| answer.predicate_type.as_ref() != Some(t))
        .collect();
    if missing.is_empty() || answer.verdict != "PASS" {
        return;
    }
    let code = Code::AttestationMissing;
    let detail = format!("{}: not in this document", missing.join(", "));
    answer
        .trace
        .extend(report::trace(&[Check::stop("type", code, detail)]));
    answer.verdict = code.verdict().to_string();
    answer.code = code.to_string();
    answer.next = report::next(answer, code);
}

/// The artifact's verdict, with the attestation that explains it best.
pub fn assemble(judged: &ArtifactJudgement, now: Timestamp) -> VerdictReport {
    let telling = judged
        .attestations
        .iter()
        .find(|c| c.judgement.code == judged.code);
    let mut answer = VerdictReport {
        verdict: judged.verdict.to_string(),
        code: judged.code.to_string(),
        subject: judged.subject.clone(),
        predicate_type: telling.map(|c| c.judgement.predicate_type.clone()),
        attestation_id: telling.map(|c| c.id.clone()),
        anchor_id: telling
            .and_then(|c| c.judgement.anchor_id)
            .map(|id| id.to_string()),
        artifact_bound: false,
        trace: report::trace(&judged.trace),
        parts: judged
            .attestations
            .iter()
            .map(|c| report::part(Some(c.id.clone()), c.counts, &c.judgement))
            .collect(),
        next: None,
        now: now.to_string(),
    };
    answer.next = report::next(&answer, judged.code);
    answer
}
