//! An artifact is its digest. Which statements speak about it, and whether
//! they are enough.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::bundle::spine;
use crate::id::AttestationId;
use crate::predicate::PredicateType;
use crate::purl::SubjectName;
use crate::statement::{DigestSet, Subject};
use crate::trust::anchor::TrustAnchor;
use crate::verify::code::Code;
use crate::verify::signature::Budget;
use crate::verify::statement::{Judgement, SignedStatement};
use crate::verify::trace::Check;
use crate::verify::{Verdict, Verifier, best};

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

/// Several anchors of the name's pattern judge whole, each by its own required
/// types and with no pooling; one PASS suffices.
pub fn judge(
    v: Verifier<'_>,
    artifact: &Artifact,
    candidates: &[Candidate],
    budget: &mut Budget,
) -> ArtifactJudgement {
    let deciding = artifact
        .name
        .as_ref()
        .map(|name| v.trust.deciding(name))
        .unwrap_or_default();
    let wholes: Vec<_> = if deciding.len() > 1 {
        deciding
            .iter()
            .map(|anchor| whole(v, artifact, candidates, &[*anchor], budget))
            .collect()
    } else {
        Vec::new()
    };
    best(wholes, |w| w.verdict).unwrap_or_else(|| whole(v, artifact, candidates, &deciding, budget))
}

fn whole(
    v: Verifier<'_>,
    artifact: &Artifact,
    candidates: &[Candidate],
    deciding: &[&TrustAnchor],
    budget: &mut Budget,
) -> ArtifactJudgement {
    let subject = artifact
        .name
        .as_ref()
        .map_or_else(|| artifact.digest.to_string(), ToString::to_string);
    let judged: Vec<Judged<'_>> = candidates
        .iter()
        .map(|c| Judged {
            predicate_type: &c.statement.predicate_type,
            answer: candidate(v, artifact, c, deciding, budget),
        })
        .collect();
    let mut trace = Vec::new();
    let code = if artifact.name.is_none() && v.policy.require_purl {
        trace.push(Check::stop(
            "subject",
            Code::SubjectUnbound,
            "no --purl given; the statements' own claims do not choose their judge",
        ));
        Code::SubjectUnbound
    } else {
        if artifact.name.is_none() {
            trace.push(Check::warn(
                "subject",
                Code::SubjectUnbound,
                "no --purl given: each statement is judged under the name it claims",
            ));
        }
        enough(v, artifact, &judged, deciding, &mut trace)
    };
    ArtifactJudgement {
        verdict: code.verdict(),
        code,
        subject,
        trace,
        attestations: judged.into_iter().map(|j| j.answer).collect(),
    }
}

struct Judged<'a> {
    /// As it stands in the statement; what is shown may be a short name.
    predicate_type: &'a PredicateType,
    answer: CandidateJudgement,
}

fn enough(
    v: Verifier<'_>,
    artifact: &Artifact,
    judged: &[Judged<'_>],
    deciding: &[&TrustAnchor],
    trace: &mut Vec<Check>,
) -> Code {
    if judged.is_empty() {
        trace.push(Check::stop(
            "attestations",
            Code::AttestationNone,
            format!("none speaks about {}", artifact.digest),
        ));
        return Code::AttestationNone;
    }
    let required = required_types(v, artifact, judged, deciding);
    if required.is_empty() {
        // A spine says what else is said about the artifact, and nothing more.
        let says = |j: &&Judged<'_>| j.predicate_type.as_uri() != spine::PREDICATE_TYPE;
        return decide("any type", &judged.iter().filter(says).collect::<Vec<_>>(), trace);
    }
    required
        .iter()
        .map(|wanted| {
            let of_type: Vec<_> = judged.iter().filter(|j| j.predicate_type == wanted).collect();
            decide(&wanted.short(), &of_type, trace)
        })
        .min_by_key(|c| c.gravity())
        .unwrap_or(Code::Ok)
}

fn candidate(
    v: Verifier<'_>,
    artifact: &Artifact,
    c: &Candidate,
    deciding: &[&TrustAnchor],
    budget: &mut Budget,
) -> CandidateJudgement {
    let mut names = BTreeSet::new();
    let mut why_not = Code::SubjectMismatch;
    for subject in c.statement.statement.subjects() {
        match speaks_about(subject, artifact) {
            Ok(name) => {
                names.insert(name);
            }
            Err(code) if aboutness(code) > aboutness(why_not) => why_not = code,
            Err(_) => {}
        }
    }
    // Without --purl one statement may claim several names for the digest;
    // it is worth what it is worth under the least kind of them.
    let judgement = names
        .iter()
        .map(|name| match deciding {
            [] => c.statement.judge(v, name, budget),
            _ => c.statement.judge_by(v, name, deciding.to_vec(), budget),
        })
        .min_by_key(|j| j.code.gravity());
    let judgement = match judgement {
        Some(judgement) => standing(v, c, judgement),
        None => bare(c, artifact, why_not),
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

/// What the record says about a statement, whatever its signatures are worth.
fn standing(v: Verifier<'_>, c: &Candidate, judgement: Judgement) -> Judgement {
    if judgement.code == Code::AttestationWithdrawn {
        return judgement;
    }
    if let Some(s) = v
        .trust
        .superseded
        .get(&c.statement.pae)
        .filter(|s| is_older(&c.reference, s.successor))
    {
        let detail = format!("superseded {} by {}", s.at, s.successor);
        return replaced(judgement, Code::AttestationSuperseded, detail);
    }
    if c.unsigned {
        let detail = "recorded, not signed yet".to_owned();
        return replaced(judgement, Code::AttestationUnsigned, detail);
    }
    if c.other_signer {
        let detail = Code::SignerNotWanted.meaning().to_owned();
        return replaced(judgement, Code::SignerNotWanted, detail);
    }
    judgement
}

/// A statement signed again keeps its PAE, so the successor itself and what
/// came after it are not what it replaced. Ids order by time (UUIDv7).
fn is_older(reference: &str, successor: AttestationId) -> bool {
    reference
        .parse::<AttestationId>()
        .map_or(true, |id| id < successor)
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

/// `--require-type`, else what the deciding anchor asks for. Where nobody
/// named the artifact, whatever let a statement pass asks the rest as well.
fn required_types(
    v: Verifier<'_>,
    artifact: &Artifact,
    judged: &[Judged<'_>],
    deciding: &[&TrustAnchor],
) -> BTreeSet<PredicateType> {
    if !artifact.require_types.is_empty() {
        return artifact.require_types.clone();
    }
    let passed_by = judged
        .iter()
        .filter(|j| j.answer.judgement.verdict == Verdict::Pass)
        .filter_map(|j| v.trust.anchors.get(&j.answer.judgement.anchor_id?));
    deciding
        .iter()
        .copied()
        .chain(passed_by)
        .flat_map(|a| a.policy.required_predicate_types.iter().cloned())
        .collect()
}

/// One PASS suffices; else the answer that is still open, else the failure
/// that came closest. Where nothing counts, what was left out says why.
fn decide(what: &str, all: &[&Judged<'_>], trace: &mut Vec<Check>) -> Code {
    let code_of = |j: &&Judged<'_>| j.answer.judgement.code;
    let counting: Vec<Code> = all.iter().filter(|j| j.answer.counts).map(code_of).collect();
    let passing = counting.iter().filter(|c| c.verdict() == Verdict::Pass).count();
    if passing > 0 {
        trace.push(Check::pass(
            "type",
            format!("{what}: {passing} of {} pass", counting.len()),
        ));
        return Code::Ok;
    }
    let code = counting
        .iter()
        .copied()
        .min_by_key(|c| nearness(*c))
        .or_else(|| all.iter().map(code_of).min_by_key(|c| nearness(*c)))
        .unwrap_or(Code::AttestationMissing);
    trace.push(Check::stop(
        "type",
        code,
        format!("{what}: none of {} passes", counting.len()),
    ));
    code
}

/// Open before final, and of each the one that got furthest: codes stand in
/// the order of the checks.
fn nearness(code: Code) -> (bool, bool, Reverse<Code>) {
    (
        code.verdict() == Verdict::Fail,
        code == Code::BudgetExhausted,
        Reverse(code),
    )
}

fn aboutness(code: Code) -> u8 {
    match code {
        Code::SubjectMismatch => 0,
        Code::SubjectName => 1,
        _ => 2,
    }
}
