//! One statement with all its signatures, judged under one name.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::digest::Hashed;
use crate::dsse;
use crate::id::AnchorId;
use crate::predicate::PredicateType;
use crate::purl::SubjectName;
use crate::statement::{Statement, StatementLimits};
use crate::trust::anchor::{AnchorStatus, TrustAnchor};
use crate::verify::code::Code;
use crate::verify::signature::{Budget, SignatureCase, Worth, weigh};
use crate::verify::trace::{Check, Trace};
use crate::verify::{Verdict, Verifier, best, short_id};

/// A payload that parsed, with every signature over its PAE, from however
/// many envelopes.
#[derive(Debug)]
pub struct SignedStatement {
    pub statement: Statement,
    pub predicate_type: PredicateType,
    pub pae: crate::digest::Sha256,
    pub signatures: Vec<SignatureCase>,
    signed: Hashed,
    payload_len: usize,
}

/// A verdict about one subject, with its trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    pub verdict: Verdict,
    pub code: Code,
    pub subject: String,
    pub predicate_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_id: Option<AnchorId>,
    pub trace: Vec<Check>,
}

impl SignedStatement {
    /// Fails with the check that says why the bytes are no statement to judge.
    pub fn open(
        payload_type: &str,
        payload: &[u8],
        signatures: Vec<SignatureCase>,
        limits: &StatementLimits,
    ) -> Result<Self, Check> {
        if payload_type != dsse::IN_TOTO_PAYLOAD_TYPE {
            let shown: String = payload_type.chars().take(100).collect();
            return Err(Check::stop(
                "envelope",
                Code::EnvelopePayloadType,
                format!("payload type {shown:?}"),
            ));
        }
        let statement = Statement::parse(payload, limits).map_err(|e| {
            let code = match e.code() {
                "statement.too-many-subjects" => Code::StatementTooManySubjects,
                _ => Code::StatementInvalid,
            };
            Check::stop(
                "statement",
                code,
                format!("invalid attestation: {e} ({})", e.code()),
            )
        })?;
        let signed = Hashed::of(dsse::pae(payload_type, payload));
        Ok(Self::read(statement, payload, signed, signatures))
    }

    /// Of a payload of which this very statement was read, and whose PAE, as
    /// an in-toto statement, this is.
    pub fn read(
        statement: Statement,
        payload: &[u8],
        signed: Hashed,
        signatures: Vec<SignatureCase>,
    ) -> Self {
        Self {
            predicate_type: PredicateType::from_wire(statement.predicate_type()),
            pae: signed.sha256(),
            signed,
            payload_len: payload.len(),
            statement,
            signatures,
        }
    }

    /// Judged under `name`: the anchors of the one pattern that decides about
    /// it, each whole; one PASS suffices.
    pub fn judge(&self, v: Verifier<'_>, name: &SubjectName, budget: &mut Budget) -> Judgement {
        self.judge_by(v, name, v.trust.deciding(name), budget)
    }

    /// The same, by these of the deciding anchors.
    pub(super) fn judge_by(
        &self,
        v: Verifier<'_>,
        name: &SubjectName,
        deciding: Vec<&TrustAnchor>,
        budget: &mut Budget,
    ) -> Judgement {
        self.judge_telling(v, name, deciding, budget, Trace::whole())
    }

    /// As [`judge`](Self::judge), without a trace. What it finds out about
    /// signatures is in the budget, for whoever has to ask again.
    pub(super) fn judge_silently(
        &self,
        v: Verifier<'_>,
        name: &SubjectName,
        budget: &mut Budget,
    ) -> Judgement {
        self.judge_telling(v, name, v.trust.deciding(name), budget, Trace::untold())
    }

    fn judge_telling(
        &self,
        v: Verifier<'_>,
        name: &SubjectName,
        deciding: Vec<&TrustAnchor>,
        budget: &mut Budget,
        mut trace: Trace,
    ) -> Judgement {
        self.opening(&mut trace);
        if self.signatures.len() > v.policy.limits.max_signatures {
            trace.push(|| {
                let max = v.policy.limits.max_signatures;
                let detail = format!("{} signatures, {max} allowed", self.signatures.len());
                Check::stop("envelope", Code::EnvelopeTooManySignatures, detail)
            });
            return self.ends(Code::EnvelopeTooManySignatures, name, None, trace);
        }
        if let Some(withdrawal) = v.trust.withdrawn.get(&self.pae) {
            trace.push(|| {
                let detail = format!(
                    "withdrawn {} by {} ({})",
                    withdrawal.at, withdrawal.actor, withdrawal.reason
                );
                Check::stop("withdrawal", Code::AttestationWithdrawn, detail)
            });
            return self.ends(Code::AttestationWithdrawn, name, None, trace);
        }
        // Only told of, and many may match.
        let matching = if trace.is_told() {
            v.trust.matching(name).len()
        } else {
            1
        };
        let answers: Vec<_> = deciding
            .into_iter()
            .map(|anchor| self.under(v, anchor, matching, budget, trace.alike()))
            .collect();
        match best(answers, |(code, ..)| code.verdict()) {
            Some((code, anchor, checks)) => {
                trace.extend(checks);
                self.ends(code, name, Some(anchor), trace)
            }
            None => {
                trace.push(|| {
                    let detail = format!("trust anchor not found for {name}");
                    Check::stop("anchor", Code::AnchorNone, detail)
                });
                self.ends(Code::AnchorNone, name, None, trace)
            }
        }
    }

    fn opening(&self, trace: &mut Trace) {
        let n = self.signatures.len();
        let subjects = self.statement.subjects().len();
        trace.push(|| {
            let detail = format!(
                "{n} signature{} over {} bytes of {}",
                plural(n),
                self.payload_len,
                dsse::IN_TOTO_PAYLOAD_TYPE
            );
            Check::pass("envelope", detail)
        });
        trace.push(|| {
            let detail = format!("in-toto v1, {subjects} subject{}", plural(subjects));
            Check::pass("statement", detail)
        });
    }

    fn under(
        &self,
        v: Verifier<'_>,
        anchor: &TrustAnchor,
        matching: usize,
        budget: &mut Budget,
        mut checks: Trace,
    ) -> (Code, AnchorId, Trace) {
        let named = || named(anchor, matching);
        if anchor.status == AnchorStatus::Disabled {
            let code = Code::AnchorDisabled;
            checks.push(|| Check::stop("anchor", code, format!("{}: disabled", named())));
            return (code, anchor.id, checks);
        }
        checks.push(|| Check::pass("anchor", named()));
        if !anchor.policy.allows(&self.predicate_type) {
            let code = Code::PredicateNotAllowed;
            checks.push(|| {
                let detail = format!("{} is not allowed by this anchor", self.predicate_type.short());
                Check::stop("predicate", code, detail)
            });
            return (code, anchor.id, checks);
        }
        let weighed: Vec<Worth> = self
            .signatures
            .iter()
            .map(|s| weigh(v, anchor, &self.signed, s, budget, checks.alike()))
            .collect();
        let (code, extra) = count(&weighed, anchor.policy.threshold);
        let single = weighed.len() == 1;
        for (i, worth) in weighed.into_iter().enumerate() {
            if single {
                checks.extend(worth.checks);
            } else {
                checks.push(|| {
                    let detail = format!("signature {} of {}", i + 1, self.signatures.len());
                    let parent = match worth.code {
                        Code::Ok => Check::pass("signature", detail),
                        code => Check::stop("signature", code, detail),
                    };
                    parent.with(worth.checks.into_checks())
                });
            }
        }
        if let Some(extra) = extra {
            checks.push(|| extra);
        }
        (code, anchor.id, checks)
    }

    fn ends(&self, code: Code, name: &SubjectName, anchor_id: Option<AnchorId>, trace: Trace) -> Judgement {
        Judgement {
            verdict: code.verdict(),
            code,
            subject: name.to_string(),
            predicate_type: self.predicate_type.short().into_owned(),
            anchor_id,
            trace: trace.into_checks(),
        }
    }
}

fn named(anchor: &TrustAnchor, matching: usize) -> String {
    let of_many = match matching {
        1 => String::new(),
        n => format!(" (most specific of {n} that match)"),
    };
    let (id, pattern, policy) = (short_id(anchor.id), &anchor.pattern, anchor.policy_version);
    format!("{id} {pattern}{of_many}, policy {policy}")
}

/// Distinct public keys count, not signatures.
fn count(weighed: &[Worth], threshold: u32) -> (Code, Option<Check>) {
    let distinct = |wanted: &dyn Fn(&Worth) -> bool| {
        weighed
            .iter()
            .filter(|w| wanted(w))
            .filter_map(|w| w.fingerprint)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let good = distinct(&|w| w.verdict() == Verdict::Pass);
    let possible = distinct(&|w| w.verdict() != Verdict::Fail);
    // No policy, whatever its source, asks for nobody's signature.
    let asked = usize::try_from(threshold.max(1)).unwrap_or(usize::MAX);
    let says = format!("{good} of {asked} distinct keys");
    if good >= asked {
        return (Code::Ok, (asked > 1).then(|| Check::pass("threshold", says)));
    }
    let spent = weighed.iter().any(|w| w.code == Code::BudgetExhausted);
    if asked > 1 {
        let code = match (possible >= asked, spent) {
            (true, _) => Code::ThresholdOpen,
            (_, true) => Code::BudgetExhausted,
            _ => Code::ThresholdNotMet,
        };
        return (code, Some(Check::stop("threshold", code, says)));
    }
    // One good key was asked for and none is: the reason that came closest.
    let code = weighed
        .iter()
        .map(|w| w.code)
        .min_by_key(|c| (closeness(*c), *c))
        .unwrap_or(Code::SignatureInvalid);
    (code, None)
}

/// How near a signature came to counting; the nearest failure is the one
/// worth telling. Open answers come before final ones.
fn closeness(code: Code) -> u8 {
    match (code.verdict(), code) {
        (Verdict::Pass, _) => 0,
        (Verdict::Indeterminate, Code::BudgetExhausted) => 2,
        (Verdict::Indeterminate, _) => 1,
        (Verdict::Fail, Code::SignatureInvalid) => 5,
        (Verdict::Fail, Code::KeyNotAllowed) => 4,
        (Verdict::Fail, _) => 3,
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
