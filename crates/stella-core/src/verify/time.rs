//! When a signature provably existed, and what that says about its key.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::evidence::{Authority, Bound, Ledger, TimeClass, TimeEvidence};
use crate::time::Timestamp;
use crate::trust::anchor::{AnchorKey, AnchorPolicy};
use crate::trust::key::KeyRecord;
use crate::trust::reason::{EndKind, Validity};
use crate::verify::code::Code;

/// RFC 3161 section 2.4.2: an accuracy that is not stated could be anything;
/// a second is what the field's clients assume.
const UNSTATED_ACCURACY: Duration = Duration::from_secs(1);

/// The moments of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The verifier's present: the clock's, a simulated later one, or a past
    /// one of which only what was known then counts.
    pub now: Timestamp,
    /// The signing time that the asker asserts.
    pub at_time: Option<Timestamp>,
}

impl Moment {
    pub const fn at(now: Timestamp) -> Self {
        Self { now, at_time: None }
    }

    /// A signing time asserted by the asker, which cannot lie in the future.
    pub fn asserting(now: Timestamp, at_time: Timestamp) -> Result<Self, InFuture> {
        if at_time > now {
            return Err(InFuture { now, at_time });
        }
        Ok(Self {
            now,
            at_time: Some(at_time),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{at_time} lies in the future: it is {now}; to simulate a later verifier give --now")]
pub struct InFuture {
    pub now: Timestamp,
    pub at_time: Timestamp,
}

/// What the evidence about one signature amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Existed by this moment.
    pub existed_by: Timestamp,
    /// The class that proves it; `None` for "whoever verifies holds it now".
    pub class: Option<TimeClass>,
    /// Made after this moment.
    pub made_after: Option<Timestamp>,
    pub has_recorded: bool,
    pub has_attested: bool,
}

/// What counts here, by the anchor, the asker and the key's state.
#[derive(Debug, Clone, Copy)]
pub struct Accepting<'a> {
    pub floor: TimeClass,
    pub operators: u32,
    pub authorities: &'a BTreeMap<String, Authority>,
    /// The operator of the signer itself, whose word is only a claim.
    pub own_operator: &'a str,
    /// The key's creation: a moment before it is no evidence about the key.
    pub not_before: Option<Timestamp>,
}

pub fn bounds(evidence: &[TimeEvidence], ledger: Ledger, now: Timestamp, accepting: Accepting<'_>) -> Bounds {
    let mut recorded: Option<Timestamp> = None;
    let mut by_operator: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut made_after = match ledger {
        Ledger::Signed { at } if at.is_set() => Some(at),
        _ => None,
    };
    for item in evidence.iter().filter(|e| e.recorded_at <= now) {
        match (item.class, item.bound) {
            (TimeClass::Recorded, Bound::ExistedBy(at)) => {
                if at.is_set() && at <= now && plausible(at, accepting.not_before) {
                    recorded = Some(recorded.map_or(at, |r| r.min(at)));
                }
            }
            (TimeClass::Attested, bound) => {
                let Some(authority) = believed(accepting, &item.authority) else {
                    continue;
                };
                match bound {
                    Bound::ExistedBy(stated) => {
                        if let Some(at) = seen_by(authority, stated, item, now, accepting) {
                            by_operator
                                .entry(&authority.operator)
                                .and_modify(|t| *t = at.min(*t))
                                .or_insert(at);
                        }
                    }
                    Bound::MadeAfter(stated) => {
                        let accuracy = item.accuracy.unwrap_or(UNSTATED_ACCURACY);
                        if credible(authority, stated, accuracy, now) {
                            made_after = made_after.max(Some(stated.saturating_sub(accuracy)));
                        }
                    }
                }
            }
            // The signer's own word, and a lower bound nobody else vouches for.
            (TimeClass::Claimed, _) | (TimeClass::Recorded, Bound::MadeAfter(_)) => {}
        }
    }
    let mut attested: Vec<_> = by_operator.into_values().collect();
    attested.sort_unstable();
    let kth = usize::try_from(accepting.operators.max(1)).unwrap_or(usize::MAX) - 1;
    let attested = attested.get(kth).copied();
    let recorded = recorded.filter(|_| accepting.floor <= TimeClass::Recorded);
    let (existed_by, class) = [(recorded, TimeClass::Recorded), (attested, TimeClass::Attested)]
        .into_iter()
        .filter_map(|(at, class)| at.map(|at| (at, Some(class))))
        .min_by_key(|(at, _)| *at)
        .unwrap_or((now, None));
    Bounds {
        existed_by,
        class,
        made_after,
        has_recorded: recorded.is_some(),
        has_attested: attested.is_some(),
    }
}

/// The moment by which an authority surely saw the signature, if what it
/// states can be true.
fn seen_by(
    authority: &Authority,
    stated: Timestamp,
    item: &TimeEvidence,
    now: Timestamp,
    accepting: Accepting<'_>,
) -> Option<Timestamp> {
    let accuracy = item.accuracy.unwrap_or(UNSTATED_ACCURACY);
    // Held now, so it existed by now, however inaccurate the witness.
    let at = stated.saturating_add(accuracy).min(now);
    (credible(authority, stated, accuracy, now) && plausible(at, accepting.not_before)).then_some(at)
}

/// Judges one key of one anchor at one moment.
pub fn judge_key(
    anchor_key: &AnchorKey,
    policy: &AnchorPolicy,
    bounds: &Bounds,
    moment: Moment,
) -> Result<(), Code> {
    if let Some(at_time) = moment.at_time {
        asserted(anchor_key, bounds, at_time)?;
    } else if let Some((end, why)) = anchor_key.ends_by() {
        let unproven = bounds.existed_by >= end;
        if unproven && bounds.made_after.is_some_and(|made| made >= end) {
            return Err(past_end(why));
        }
        if anchor_key.validity() == Validity::WindowUnknown {
            return Err(Code::KeyWindowUnknown);
        }
        if unproven {
            return Err(Code::TimeNotProven);
        }
    }
    let enough = match policy.require_evidence {
        None => true,
        Some(TimeClass::Attested) => bounds.has_attested,
        Some(TimeClass::Recorded | TimeClass::Claimed) => bounds.has_attested || bounds.has_recorded,
    };
    if enough {
        Ok(())
    } else {
        Err(Code::EvidenceRequired)
    }
}

/// The class from which evidence counts for this key: a compromised key's
/// thief may have had the server's clock as well.
pub fn floor(
    policy: &AnchorPolicy,
    asked: Option<TimeClass>,
    anchor_key: &AnchorKey,
    recorded_for_compromise: bool,
) -> TimeClass {
    let compromised = anchor_key.end.as_ref().is_some_and(|e| e.reason.is_compromise());
    let by_state = if compromised && !recorded_for_compromise {
        TimeClass::Attested
    } else {
        TimeClass::Recorded
    };
    policy
        .min_time_evidence
        .max(asked.unwrap_or(TimeClass::Recorded))
        .max(by_state)
}

pub fn accepting<'a>(
    floor: TimeClass,
    policy: &AnchorPolicy,
    key: &KeyRecord,
    authorities: &'a BTreeMap<String, Authority>,
    own_operator: &'a str,
) -> Accepting<'a> {
    Accepting {
        floor,
        operators: policy.time_operators,
        authorities,
        own_operator,
        not_before: key.created_at,
    }
}

/// The runbook's rule, `addedAt <= T < end`, and then the proof that the
/// signature existed by then.
fn asserted(anchor_key: &AnchorKey, bounds: &Bounds, at_time: Timestamp) -> Result<(), Code> {
    if at_time < anchor_key.added_at {
        return Err(Code::KeyNotYetAdded);
    }
    match anchor_key.ends_by() {
        Some((end, why)) if at_time >= end => return Err(past_end(why)),
        _ if anchor_key.validity() == Validity::WindowUnknown => return Err(Code::KeyWindowUnknown),
        _ => {}
    }
    if bounds.existed_by > at_time {
        Err(Code::TimeNotProvenBy)
    } else {
        Ok(())
    }
}

fn past_end(why: EndKind) -> Code {
    match why {
        EndKind::Expired => Code::KeyExpired,
        EndKind::Revoked(reason) if reason.is_compromise() => Code::KeyCompromised,
        EndKind::Revoked(_) => Code::KeyRevoked,
    }
}

fn plausible(at: Timestamp, not_before: Option<Timestamp>) -> bool {
    not_before.is_none_or(|created| at >= created)
}

fn believed<'a>(accepting: Accepting<'a>, id: &str) -> Option<&'a Authority> {
    accepting
        .authorities
        .get(id)
        .filter(|a| a.trusted && a.operator != accepting.own_operator)
}

/// A time, not of the future, from while the authority was to be believed.
fn credible(authority: &Authority, stated: Timestamp, accuracy: Duration, now: Timestamp) -> bool {
    stated.is_set()
        && stated <= now.saturating_add(accuracy)
        && authority.valid_from <= stated
        && authority.valid_until.is_none_or(|until| stated < until)
}
