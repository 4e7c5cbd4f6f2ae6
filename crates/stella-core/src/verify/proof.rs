//! A proof bundle: its address, its spine, the root, and every member.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::bundle::proof::{ProofBundle, ProofError, ProofLimits, SignedPayload};
use crate::bundle::spine::{MemberRef, Spine};
use crate::digest::Sha256;
use crate::dsse::EnvelopeSignature;
use crate::evidence::{Ledger, TimeEvidence};
use crate::id::{AnchorId, AttestationId};
use crate::predicate::PredicateType;
use crate::purl::SubjectName;
use crate::statement::{DigestSet, StatementLimits, Subject};
use crate::trust::anchor::TrustAnchor;
use crate::verify::artifact::{Artifact, speaks_about};
use crate::verify::code::Code;
use crate::verify::signature::{Budget, SignatureCase};
use crate::verify::statement::{Judgement, SignedStatement};
use crate::verify::trace::{Check, CheckStatus};
use crate::verify::{Verdict, Verifier, best};

/// A bundle, what was asked about it, and by which bounds it is read.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub bundle: &'a ProofBundle,
    pub asked: &'a Asked,
    pub known: &'a dyn Knowledge,
    pub limits: &'a ProofLimits,
    pub statements: &'a StatementLimits,
}

/// What the asker holds or knows; all of it may be absent.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// By which the bundle was asked for.
    pub address: Option<Sha256>,
    /// Of the artifact.
    pub digest: Option<DigestSet>,
    /// The name under which the asker uses it; selects the anchor.
    pub name: Option<SubjectName>,
}

/// What the verifier knows besides the bundle.
pub trait Knowledge {
    /// About one signature over the statement with this identity.
    fn about(&self, pae: Sha256, signature: &EnvelopeSignature) -> (Vec<TimeEvidence>, Ledger);

    /// The attestation that took the place of what the bundle holds: the same
    /// statement, signed again.
    fn successor(&self, pae: Sha256) -> Option<AttestationId>;
}

/// Of somebody who has no record of signatures.
#[derive(Debug, Clone, Copy)]
pub struct NothingKnown;

impl Knowledge for NothingKnown {
    fn about(&self, _: Sha256, _: &EnvelopeSignature) -> (Vec<TimeEvidence>, Ledger) {
        (Vec::new(), Ledger::NotConsulted)
    }

    fn successor(&self, _: Sha256) -> Option<AttestationId> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofJudgement {
    pub verdict: Verdict,
    pub code: Code,
    /// Empty where it could not be bound to what was asked about.
    pub subject: String,
    /// The one that judged the spine.
    pub anchor_id: Option<AnchorId>,
    /// The statement on which the verdict rests, where it is one of them.
    #[serde(skip)]
    pub deciding: Option<Sha256>,
    pub trace: Vec<Check>,
}

impl ProofJudgement {
    /// Of a document that is no proof bundle.
    pub fn unreadable(error: &ProofError) -> Self {
        let code = Code::ProofInvalid;
        let detail = format!("not a proof bundle: {error} ({})", error.code());
        let mut found = Findings::default();
        found.add(Check::stop("bundle", code, detail));
        found.ends(String::new(), None)
    }
}

/// Everything that can be looked at is, whatever failed before; FAIL beats
/// INDETERMINATE beats PASS.
pub fn judge(v: Verifier<'_>, case: Case<'_>, budget: &mut Budget) -> ProofJudgement {
    let mut found = Findings::default();
    found.add(address(case.bundle.address(), case.asked.address));
    let spine = match Spine::parse(case.bundle.spine().payload(), case.limits) {
        Ok(spine) => spine,
        Err(e) => {
            let detail = format!("no spine statement: {e} ({})", e.code());
            found.add(Check::stop("spine", Code::ProofSpineInvalid, detail));
            return found.ends(String::new(), None);
        }
    };
    let name = match bind(v, &spine.subject, case.asked) {
        Ok((name, remark)) => {
            remark.into_iter().for_each(|check| found.add(check));
            name
        }
        Err(code) => {
            let named = spine.subject.name.as_deref().unwrap_or("no name");
            let detail = format!("the spine is about {named}, {}", spine.subject.digest);
            found.add(Check::stop("subject", code, detail));
            return found.ends(String::new(), None);
        }
    };
    // Two anchors that trust one half each are nobody who trusts the whole.
    let anchors = v.trust.deciding(&name);
    let by = |deciding| Judge {
        v,
        name: &name,
        deciding,
    };
    let wholes = anchors
        .chunks(1)
        .map(|one| whole(by(one), case, &spine, found.clone(), budget))
        .collect();
    best(wholes, |w| w.verdict).unwrap_or_else(|| whole(by(&[]), case, &spine, found, budget))
}

/// Who judges all of it, under which name: one anchor, or none where no
/// pattern matches.
#[derive(Clone, Copy)]
struct Judge<'a> {
    v: Verifier<'a>,
    name: &'a SubjectName,
    deciding: &'a [&'a TrustAnchor],
}

impl Judge<'_> {
    fn of(self, statement: &SignedStatement, budget: &mut Budget) -> Judgement {
        statement.judge_by(self.v, self.name, self.deciding.to_vec(), budget)
    }
}

fn whole(
    by: Judge<'_>,
    case: Case<'_>,
    spine: &Spine,
    mut found: Findings,
    budget: &mut Budget,
) -> ProofJudgement {
    let mut anchor = None;
    let judged = match open(case, case.bundle.spine()) {
        Ok(statement) => {
            let judgement = by.of(&statement, budget);
            anchor = judgement.anchor_id;
            let detail = format!("lists {} about {}", spine.members.len(), by.name);
            parent("spine", judgement, detail)
        }
        Err(check) => check,
    };
    found.add_of(Some(case.bundle.spine().pae_digest()), judged);
    found.add(root(spine));
    members(by, case, spine, budget, &mut found);
    found.ends(by.name.to_string(), anchor)
}

fn address(found: Sha256, asked: Option<Sha256>) -> Check {
    match asked {
        Some(asked) if asked == found => Check::pass("address", format!("sha256:{found}")),
        Some(asked) => Check::stop(
            "address",
            Code::ProofAddress,
            format!("asked for sha256:{asked}, the bundle is sha256:{found}"),
        ),
        None => Check::pass("address", format!("sha256:{found}, computed: none was asked for")),
    }
}

/// The name under which all of it is judged, and a remark where nobody but
/// the spine's signer chose it for the artifact at hand.
fn bind(v: Verifier<'_>, subject: &Subject, asked: &Asked) -> Result<(SubjectName, Option<Check>), Code> {
    let artifact = Artifact {
        digest: asked.digest.clone().unwrap_or_else(|| subject.digest.clone()),
        name: asked.name.clone(),
        require_types: BTreeSet::new(),
    };
    let name = match speaks_about(subject, &artifact) {
        // Nobody gave it a name: it is called by its digest.
        Err(Code::SubjectUnbound) => SubjectName::Plain(subject.digest.to_string()),
        other => other?,
    };
    if asked.digest.is_none() || asked.name.is_some() {
        return Ok((name, None));
    }
    let detail = "no --purl given: judged under the name that the spine claims";
    let check = if v.policy.require_purl {
        Check::stop("subject", Code::SubjectUnbound, detail)
    } else {
        Check::warn("subject", Code::SubjectUnbound, detail)
    };
    Ok((name, Some(check)))
}

fn root(spine: &Spine) -> Check {
    let computed = spine.computed_root();
    if computed == spine.root {
        let n = spine.members.len();
        Check::pass("root", format!("sha256:{computed} over the {n} listed"))
    } else {
        let stated = spine.root;
        let detail = format!("the spine states sha256:{stated}, what it lists has sha256:{computed}");
        Check::stop("root", Code::ProofRoot, detail)
    }
}

fn members(by: Judge<'_>, case: Case<'_>, spine: &Spine, budget: &mut Budget, found: &mut Findings) {
    let places = places(case.bundle, spine);
    let missing = spine
        .members
        .iter()
        .enumerate()
        .filter(|(listed, _)| !places.iter().any(|p| p.listed() == Some(*listed)));
    for (listed, member) in missing {
        let detail = format!("{}: not in the bundle", described(listed, spine, member));
        found.add(Check::stop("member", Code::ProofMemberMissing, detail));
    }
    let about = Artifact {
        digest: spine.subject.digest.clone(),
        name: Some(by.name.clone()),
        require_types: BTreeSet::new(),
    };
    for (held, place) in case.bundle.members().iter().zip(places) {
        let pae = held.pae_digest();
        let listed = place.listed().and_then(|n| Some((n, spine.members.get(n)?)));
        let Some((n, listed)) = listed else {
            let detail = format!("sha256:{pae}: not listed in the spine");
            found.add(Check::stop("member", Code::ProofMemberExtra, detail));
            continue;
        };
        let what = described(n, spine, listed);
        let judged = match place {
            Place::Again(_) => Check::stop("member", Code::ProofMemberExtra, format!("{what}: there twice")),
            Place::Moved(_) => {
                let detail = format!("{what}: in another place of the bundle");
                Check::stop("member", Code::ProofMemberOrder, detail)
            }
            _ => match open(case, held) {
                Ok(statement) if statement.predicate_type.as_uri() != listed.predicate_type => {
                    let theirs = statement.predicate_type.short();
                    let detail = format!("{what}: the statement's type is {theirs}");
                    Check::stop("member", Code::ProofSpineInvalid, detail)
                }
                Ok(statement) => {
                    let successor = case.known.successor(pae);
                    member(by, &statement, successor, &about, what, budget)
                }
                Err(check) => check,
            },
        };
        found.add_of(Some(pae), judged);
    }
}

/// Where the spine lists what the bundle holds at one place.
#[derive(Clone, Copy)]
enum Place {
    At(usize),
    /// Out of the spine's order.
    Moved(usize),
    /// A second time.
    Again(usize),
    Unlisted,
}

impl Place {
    fn listed(self) -> Option<usize> {
        match self {
            Self::At(n) | Self::Moved(n) | Self::Again(n) => Some(n),
            Self::Unlisted => None,
        }
    }
}

/// What is missing or too much is told for itself, and moves nobody else.
fn places(bundle: &ProofBundle, spine: &Spine) -> Vec<Place> {
    let listed: Vec<Option<usize>> = bundle
        .members()
        .iter()
        .map(|held| {
            let pae = held.pae_digest();
            spine.members.iter().position(|m| m.pae == pae)
        })
        .collect();
    let mut order: Vec<usize> = Vec::new();
    for n in listed.iter().flatten() {
        if !order.contains(n) {
            order.push(*n);
        }
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    let mut rank = 0;
    listed
        .into_iter()
        .map(|listed| match listed {
            None => Place::Unlisted,
            Some(n) if order.get(rank) != Some(&n) => Place::Again(n),
            Some(n) => {
                rank += 1;
                if sorted.get(rank - 1) == Some(&n) {
                    Place::At(n)
                } else {
                    Place::Moved(n)
                }
            }
        })
        .collect()
}

fn member(
    by: Judge<'_>,
    statement: &SignedStatement,
    successor: Option<AttestationId>,
    about: &Artifact,
    what: String,
    budget: &mut Budget,
) -> Check {
    let subjects = statement.statement.subjects();
    if !subjects.iter().any(|s| speaks_about(s, about).is_ok()) {
        let theirs = subjects.iter().find_map(|s| s.name.as_deref());
        let theirs = theirs.unwrap_or("another artifact");
        let detail = format!("{what}: about {theirs}");
        return Check::stop("member", Code::ProofMemberSubject, detail);
    }
    let judgement = by.of(statement, budget);
    match (judgement.code, judgement.verdict, successor) {
        (Code::AttestationWithdrawn, ..) => {
            Check::stop("member", Code::ProofMemberWithdrawn, what).with(judgement.trace)
        }
        (_, Verdict::Pass, Some(newer)) => {
            let detail = format!("{what}; signed again since as {newer}");
            Check::warn("member", Code::ProofMemberSuperseded, detail).with(judgement.trace)
        }
        // Offered instead of the reason itself, because it is what mends it.
        (_, Verdict::Indeterminate, Some(newer)) => {
            let detail = format!("{what}; signed again since as {newer}, which is not in this bundle");
            Check::stop("member", Code::ProofMemberSuperseded, detail).with(judgement.trace)
        }
        _ => parent("member", judgement, what),
    }
}

fn open(case: Case<'_>, signed: &SignedPayload) -> Result<SignedStatement, Check> {
    let pae = signed.pae_digest();
    let signatures = signed
        .signatures()
        .iter()
        .map(|signature| {
            let (evidence, ledger) = case.known.about(pae, signature);
            SignatureCase {
                keyid: signature.keyid.clone(),
                sig: signature.sig.clone(),
                evidence,
                ledger,
            }
        })
        .collect();
    SignedStatement::open(
        signed.payload_type(),
        signed.payload(),
        signatures,
        case.statements,
    )
}

fn parent(what: &'static str, judgement: Judgement, detail: String) -> Check {
    let check = match judgement.code {
        Code::Ok => Check::pass(what, detail),
        code => Check::stop(what, code, detail),
    };
    check.with(judgement.trace)
}

fn described(index: usize, spine: &Spine, member: &MemberRef) -> String {
    let kind = PredicateType::from_wire(&member.predicate_type);
    let of = spine.members.len();
    format!("{} of {of}, {}, sha256:{}", index + 1, kind.short(), member.pae)
}

/// The checks so far, and the gravest reason among them; of equals the first.
#[derive(Default, Clone)]
struct Findings {
    trace: Vec<Check>,
    reasons: Vec<(Code, Option<Sha256>)>,
}

impl Findings {
    fn add(&mut self, check: Check) {
        self.add_of(None, check);
    }

    fn add_of(&mut self, statement: Option<Sha256>, check: Check) {
        if matches!(check.status, CheckStatus::Fail | CheckStatus::Unknown) {
            let code = check.code.unwrap_or(Code::ProofInvalid);
            self.reasons.push((code, statement));
        }
        self.trace.push(check);
    }

    fn ends(self, subject: String, anchor_id: Option<AnchorId>) -> ProofJudgement {
        let gravest = self.reasons.into_iter().min_by_key(|(c, _)| c.gravity());
        let (code, deciding) = gravest.unwrap_or((Code::Ok, None));
        ProofJudgement {
            verdict: code.verdict(),
            code,
            subject,
            anchor_id,
            deciding,
            trace: self.trace,
        }
    }
}
