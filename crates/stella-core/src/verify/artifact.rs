//! An artifact is its digest. Which statements speak about it, and whether
//! they are enough.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::id::AttestationId;
use crate::predicate::PredicateType;
use crate::purl::SubjectName;
use crate::statement::{DigestSet, Subject};
use crate::verify::code::Code;
use crate::verify::signature::Budget;
use crate::verify::statement::{Judgement, SignedStatement};
use crate::verify::trace::Check;
use crate::verify::{Verdict, Verifier};

/// What the asker holds.
#[derive(Debug, Clone)]
pub struct Artifact {
    pub digest: DigestSet,
    /// The name under which the asker uses it; selects the anchor.
    pub name: Option<SubjectName>,
    /// Predicate types that must each be there; else the anchor's own list.
    pub require_types: BTreeSet<PredicateType>,
}

/// A stored statement, by the reference under which it can be shown.
#[derive(Debug)]
pub struct Candidate {
    pub reference: String,
    /// Recorded but not signed yet, so it decides nothing.
    pub unsigned: bool,
    /// Asked for by an identity other than the one wanted.
    pub other_signer: bool,
    pub statement: SignedStatement,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactJudgement {
    pub verdict: Verdict,
    pub code: Code,
    pub subject: String,
    pub trace: Vec<Check>,
    pub attestations: Vec<CandidateJudgement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateJudgement {
    pub id: String,
    /// Whether it bears on the artifact's verdict.
    pub counts: bool,
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// Whether a subject is this artifact, under this name if one is given.
pub fn speaks_about(subject: &Subject, artifact: &Artifact) -> Result<SubjectName, Code> {
    if !subject.digest.matches(&artifact.digest) {
        return Err(Code::SubjectMismatch);
    }
    let claimed = subject
        .name
        .as_deref()
        .map(SubjectName::parse)
        .transpose()
        .map_err(|_| Code::SubjectName)?;
    match (&artifact.name, claimed) {
        (Some(name), None) => Ok(name.clone()),
        (Some(name), Some(SubjectName::Plain(_))) => Ok(name.clone()),
        (Some(name), Some(claimed)) if claimed == *name => Ok(name.clone()),
        (Some(_), Some(_)) => Err(Code::SubjectOtherName),
        (None, Some(claimed)) => Ok(claimed),
        (None, None) => Err(Code::SubjectUnbound),
    }
}

pub fn judge(
    v: Verifier<'_>,
    artifact: &Artifact,
    candidates: &[Candidate],
    budget: &mut Budget,
) -> ArtifactJudgement {
    let subject = artifact
        .name
        .as_ref()
        .map_or_else(|| artifact.digest.to_string(), ToString::to_string);
    let judged: Vec<CandidateJudgement> = candidates
        .iter()
        .map(|c| candidate(v, artifact, c, budget))
        .collect();
    let mut trace = Vec::new();
    if artifact.name.is_none() {
        if v.policy.require_purl {
            trace.push(Check::stop(
                "subject",
                Code::SubjectUnbound,
                "no --purl given; the statements' own claims do not choose their judge",
            ));
            return ends(Code::SubjectUnbound, subject, trace, judged);
        }
        trace.push(Check::warn(
            "subject",
            Code::SubjectUnbound,
            "no --purl given: each statement is judged under the name it claims",
        ));
    }
    if candidates.is_empty() {
        trace.push(Check::stop(
            "attestations",
            Code::AttestationNone,
            format!("none speaks about {}", artifact.digest),
        ));
        return ends(Code::AttestationNone, subject, trace, judged);
    }
    let required = required_types(v, artifact);
    let code = if required.is_empty() {
        any(&judged, &mut trace)
    } else {
        required
            .iter()
            .map(|wanted| one_of(wanted, &judged, &mut trace))
            .min_by_key(|c| severity(*c))
            .unwrap_or(Code::Ok)
    };
    ends(code, subject, trace, judged)
}

fn candidate(v: Verifier<'_>, artifact: &Artifact, c: &Candidate, budget: &mut Budget) -> CandidateJudgement {
    let about: Vec<_> = c
        .statement
        .statement
        .subjects()
        .iter()
        .map(|s| speaks_about(s, artifact))
        .collect();
    let judgement = match about.iter().find_map(|a| a.as_ref().ok()) {
        Some(name) => c.statement.judge(v, name, budget),
        None => {
            let why = about
                .iter()
                .filter_map(|a| a.as_ref().err())
                .copied()
                .max_by_key(|c| aboutness(*c));
            let why = why.unwrap_or(Code::SubjectMismatch);
            bare(c, artifact, why)
        }
    };
    let superseded = v
        .trust
        .superseded
        .get(&c.statement.pae)
        .filter(|s| is_older(&c.reference, s.successor));
    let judgement = match (judgement, superseded) {
        (judgement, _) if c.unsigned => replaced(
            judgement,
            Code::AttestationUnsigned,
            "recorded, not signed yet".to_owned(),
        ),
        (judgement, _) if c.other_signer => replaced(
            judgement,
            Code::SignerNotWanted,
            Code::SignerNotWanted.meaning().to_owned(),
        ),
        (judgement, Some(s)) => replaced(
            judgement,
            Code::AttestationSuperseded,
            format!("superseded {} by {}", s.at, s.successor),
        ),
        (judgement, None) => judgement,
    };
    let counts = !matches!(
        judgement.code,
        Code::AttestationSuperseded
            | Code::AttestationWithdrawn
            | Code::SubjectOtherName
            | Code::SubjectMismatch
    );
    CandidateJudgement {
        id: c.reference.clone(),
        counts,
        judgement,
    }
}

/// A statement signed again keeps its PAE, so the successor itself and what
/// came after it are not what it replaced. Ids order by time (UUIDv7).
fn is_older(reference: &str, successor: AttestationId) -> bool {
    reference.parse::<AttestationId>().is_ok_and(|id| id < successor)
}

fn bare(c: &Candidate, artifact: &Artifact, code: Code) -> Judgement {
    let claimed = c
        .statement
        .statement
        .subjects()
        .iter()
        .find_map(|s| s.name.clone());
    let detail = match &claimed {
        Some(name) => format!("the statement is about {name}"),
        None => code.meaning().to_owned(),
    };
    Judgement {
        verdict: code.verdict(),
        code,
        subject: artifact
            .name
            .as_ref()
            .map(ToString::to_string)
            .or(claimed)
            .unwrap_or_default(),
        predicate_type: c.statement.predicate_type.short().into_owned(),
        anchor_id: None,
        trace: vec![Check::stop("subject", code, detail)],
    }
}

fn replaced(mut judgement: Judgement, code: Code, detail: String) -> Judgement {
    judgement.trace.push(Check::stop("attestation", code, detail));
    judgement.verdict = code.verdict();
    judgement.code = code;
    judgement
}

/// `--require-type`, else what the deciding anchors ask for.
fn required_types(v: Verifier<'_>, artifact: &Artifact) -> BTreeSet<PredicateType> {
    if !artifact.require_types.is_empty() {
        return artifact.require_types.clone();
    }
    let Some(name) = &artifact.name else {
        return BTreeSet::new();
    };
    v.trust
        .deciding(name)
        .into_iter()
        .flat_map(|a| a.policy.required_predicate_types.iter().cloned())
        .collect()
}

fn any(judged: &[CandidateJudgement], trace: &mut Vec<Check>) -> Code {
    decide(
        "any type",
        judged.iter().filter(|j| j.counts).collect(),
        judged,
        trace,
    )
}

fn one_of(wanted: &PredicateType, judged: &[CandidateJudgement], trace: &mut Vec<Check>) -> Code {
    let short = wanted.short();
    let of_type: Vec<_> = judged
        .iter()
        .filter(|j| j.counts && j.judgement.predicate_type == *short)
        .collect();
    let all_of_type: Vec<_> = judged
        .iter()
        .filter(|j| j.judgement.predicate_type == *short)
        .cloned()
        .collect();
    decide(&short, of_type, &all_of_type, trace)
}

/// One PASS suffices; else the answer that is still open, else the failure.
/// Where nothing counts, what was left out says why.
fn decide(
    what: &str,
    counting: Vec<&CandidateJudgement>,
    all: &[CandidateJudgement],
    trace: &mut Vec<Check>,
) -> Code {
    let passing = counting
        .iter()
        .filter(|j| j.judgement.verdict == Verdict::Pass)
        .count();
    if passing > 0 {
        trace.push(Check::pass(
            "type",
            format!("{what}: {passing} of {} pass", counting.len()),
        ));
        return Code::Ok;
    }
    let closest = counting
        .iter()
        .map(|j| j.judgement.code)
        .min_by_key(|c| u8::from(c.verdict() == Verdict::Fail))
        .or_else(|| all.iter().map(|j| j.judgement.code).next());
    let code = closest.unwrap_or(Code::AttestationMissing);
    trace.push(Check::stop(
        "type",
        code,
        format!("{what}: none of {} passes", counting.len()),
    ));
    code
}

/// Of several verdicts FAIL wins, then a missing anchor, then the rest.
fn severity(code: Code) -> u8 {
    match (code.verdict(), code) {
        (Verdict::Fail, _) => 0,
        (Verdict::Indeterminate, Code::AnchorNone) => 1,
        (Verdict::Indeterminate, _) => 2,
        (Verdict::Pass, _) => 3,
    }
}

fn aboutness(code: Code) -> u8 {
    match code {
        Code::SubjectMismatch => 0,
        Code::SubjectName => 1,
        _ => 2,
    }
}

fn ends(
    code: Code,
    subject: String,
    mut trace: Vec<Check>,
    attestations: Vec<CandidateJudgement>,
) -> ArtifactJudgement {
    if code != Code::Ok && trace.is_empty() {
        trace.push(Check::stop("artifact", code, code.meaning()));
    }
    ArtifactJudgement {
        verdict: code.verdict(),
        code,
        subject,
        trace,
        attestations,
    }
}
