//! One signature under one anchor: which key made it, and whether that key's
//! word counted when it provably existed.

use std::collections::HashMap;

use crate::alg::Seen;
use crate::digest::{Hashed, Sha256};
use crate::evidence::{Ledger, TimeEvidence};
use crate::id::KeyId;
use crate::trust::anchor::{AnchorKey, TrustAnchor};
use crate::trust::key::{KeyRecord, KeyType};
use crate::trust::reason::EndKind;
use crate::verify::code::Code;
use crate::verify::time::{self, Bounds};
use crate::verify::trace::{Check, Trace};
use crate::verify::{Verdict, Verifier};

/// A signature with everything known about its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureCase {
    /// A hint that narrows the search. It is not signed and decides nothing.
    pub keyid: Option<String>,
    pub sig: Vec<u8>,
    pub evidence: Vec<TimeEvidence>,
    pub ledger: Ledger,
}

/// How many signature checks a question may still cost, and the answers of
/// those made already.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    /// By key and message.
    known: HashMap<(Sha256, Sha256), Tried>,
}

/// Each signature with its answer.
type Tried = Vec<(Vec<u8>, bool)>;

impl Budget {
    pub fn new(checks: u32) -> Self {
        Self {
            left: checks,
            known: HashMap::new(),
        }
    }

    /// It costs nothing to be told what somebody just saw.
    #[must_use]
    pub fn having(mut self, seen: &Seen) -> Self {
        let tried = self.known.entry((seen.key(), seen.message())).or_default();
        tried.push((seen.signature().to_vec(), true));
        self
    }

    /// `None` when the budget is spent.
    fn verifies(&mut self, key: &KeyRecord, pae: &Hashed, sig: &[u8]) -> Option<bool> {
        let tried = self
            .known
            .entry((key.public_key.fingerprint(), pae.sha256()))
            .or_default();
        if let Some((_, answer)) = tried.iter().find(|(known, _)| known == sig) {
            return Some(*answer);
        }
        self.left = self.left.checked_sub(1)?;
        let answer = key.public_key.verify_hashed(pae, sig).is_ok();
        tried.push((sig.to_vec(), answer));
        Some(answer)
    }
}

/// What one signature is worth to one anchor.
#[derive(Debug)]
pub(super) struct Worth {
    pub code: Code,
    /// The public key, once it is known which one verifies.
    pub fingerprint: Option<Sha256>,
    pub checks: Trace,
}

impl Worth {
    pub(super) fn verdict(&self) -> Verdict {
        self.code.verdict()
    }
}

pub(super) fn weigh(
    v: Verifier<'_>,
    anchor: &TrustAnchor,
    pae: &Hashed,
    case: &SignatureCase,
    budget: &mut Budget,
    mut checks: Trace,
) -> Worth {
    let (key, anchor_key) = match made_by(v, anchor, pae, case, budget) {
        Ok(found) => found,
        Err((code, detail)) => {
            checks.push(|| Check::stop("signature", code, detail));
            return Worth {
                code,
                fingerprint: None,
                checks,
            };
        }
    };
    checks.push(|| {
        let made = format!("{} by {}", key.public_key.algorithm(), key.id);
        Check::pass("signature", made)
    });
    let floor = time::floor(
        &anchor.policy,
        v.min_time_evidence,
        anchor_key,
        v.policy.recorded_for_compromise,
    );
    let accepting = time::accepting(floor, &anchor.policy, key, v.authorities, &v.policy.own_operator);
    let ledger = case.ledger.known_at(v.moment.now);
    let bounds = time::bounds(&case.evidence, ledger, v.moment.now, accepting);
    checks.push(|| Check::pass("time", describe_bounds(&bounds, ledger)));
    let mut code = Code::Ok;
    match time::judge_key(anchor_key, &anchor.policy, &bounds, v.moment) {
        Ok(()) => checks.push(|| Check::pass("key", describe_key(anchor_key))),
        Err(why) => {
            code = why;
            checks.push(|| Check::stop("key", why, describe_end(anchor_key, &bounds, v, why)));
        }
    }
    if let Some((worse, check)) = ledger_check(v, anchor, key, ledger, code) {
        checks.push(|| check);
        code = worse.unwrap_or(code);
    }
    Worth {
        code,
        fingerprint: Some(key.public_key.fingerprint()),
        checks,
    }
}

/// The key that made the signature, and its place in this anchor.
fn made_by<'a>(
    v: Verifier<'a>,
    anchor: &'a TrustAnchor,
    pae: &Hashed,
    case: &SignatureCase,
    budget: &mut Budget,
) -> Result<(&'a KeyRecord, &'a AnchorKey), (Code, String)> {
    let spent = || (Code::BudgetExhausted, "no signature checks left".to_owned());
    let named = case
        .keyid
        .as_deref()
        .and_then(|id| id.parse::<KeyId>().ok())
        .and_then(|id| v.trust.keys.get(&id));
    if let Some(key) = named {
        if !budget.verifies(key, pae, &case.sig).ok_or_else(spent)? {
            return Err((
                Code::SignatureInvalid,
                format!(
                    "signature verification failed: not made by {} over this payload",
                    key.id
                ),
            ));
        }
        let held = anchor.key(&key.id).filter(|_| signs(key)).ok_or_else(|| {
            (
                Code::KeyNotAllowed,
                format!(
                    "made by {}, which anchor {} never held",
                    key.id,
                    super::short_id(anchor.id)
                ),
            )
        })?;
        return Ok((key, held));
    }
    for held in &anchor.keys {
        let Some(key) = v.trust.keys.get(&held.key_id).filter(|k| signs(k)) else {
            continue;
        };
        if budget.verifies(key, pae, &case.sig).ok_or_else(spent)? {
            return Ok((key, held));
        }
    }
    let hint = case.keyid.as_deref().map_or_else(
        || "the signature names no key".to_owned(),
        |id| {
            format!(
                "key id {:?} is unknown here",
                id.chars().take(64).collect::<String>()
            )
        },
    );
    Err((
        Code::KeyNotAllowed,
        format!(
            "{hint}, and none of the anchor's {} keys made it",
            anchor.keys.len()
        ),
    ))
}

/// Statements are signed by keys of one type; a log's or a feed's key that
/// signed one speaks out of turn.
fn signs(key: &KeyRecord) -> bool {
    key.key_type == KeyType::Signing
}

/// A signature by a key that only we hold must be one that we remember.
fn ledger_check(
    v: Verifier<'_>,
    anchor: &TrustAnchor,
    key: &KeyRecord,
    ledger: Ledger,
    so_far: Code,
) -> Option<(Option<Code>, Check)> {
    let profile = key.profile()?;
    let required = anchor.policy.require_ledger;
    let exclusive = !v.policy.shared_profiles.contains(profile);
    match ledger {
        Ledger::Signed { .. } => Some((None, Check::pass("ledger", "signed by this server"))),
        Ledger::Unknown if required || (exclusive && so_far == Code::KeyWindowUnknown) => {
            let detail = format!("{} is ours, but this server never made this signature", key.id);
            let final_no = (so_far.verdict() != Verdict::Fail).then_some(Code::LedgerUnknown);
            Some((final_no, Check::stop("ledger", Code::LedgerUnknown, detail)))
        }
        Ledger::Unknown if exclusive => {
            let detail = format!("{} is ours, but this server never made this signature", key.id);
            Some((None, Check::warn("ledger", Code::LedgerUnknown, detail)))
        }
        Ledger::Unknown => Some((
            None,
            Check::skip("ledger", format!("profile {profile} also signs elsewhere")),
        )),
        Ledger::NotConsulted if required => {
            let open = (so_far == Code::Ok).then_some(Code::LedgerNotConsulted);
            Some((
                open,
                Check::stop(
                    "ledger",
                    Code::LedgerNotConsulted,
                    "required by this anchor, and not at hand for this question",
                ),
            ))
        }
        Ledger::NotConsulted => None,
    }
}

fn describe_bounds(bounds: &Bounds, ledger: Ledger) -> String {
    let by = match bounds.class {
        Some(class) => format!("existed by {} ({class})", bounds.existed_by),
        None => format!("no time evidence that counts; held now, {}", bounds.existed_by),
    };
    match (ledger, bounds.made_after) {
        (Ledger::Signed { at }, _) => format!("{by}; signed here {at} (ledger)"),
        (_, Some(after)) => format!("{by}; made after {after}"),
        _ => by,
    }
}

fn describe_key(held: &AnchorKey) -> String {
    let since = format!("in this anchor since {}", held.added_at);
    match held.ends_by() {
        None => since,
        Some((end, EndKind::Expired)) => format!("{since}, until {end}"),
        Some((end, EndKind::Revoked(reason))) => {
            format!("{since}, until {end} ({reason}); this signature is older")
        }
    }
}

fn describe_end(held: &AnchorKey, bounds: &Bounds, v: Verifier<'_>, why: Code) -> String {
    let proven = match bounds.class {
        Some(_) => format!("existed by {} only", bounds.existed_by),
        None => "nothing proves an earlier time".to_owned(),
    };
    match (why, held.ends_by()) {
        (Code::KeyNotYetAdded, _) => format!(
            "added to this anchor {}, after the time asked about",
            held.added_at
        ),
        (Code::EvidenceRequired, _) => {
            "the class of time evidence that this anchor requires is missing".to_owned()
        }
        (Code::TimeNotProvenBy, _) => match v.moment.at_time {
            Some(at) => format!("asked about {at}; {proven}"),
            None => proven,
        },
        (Code::KeyWindowUnknown, _) => "compromised; nobody has stated since when".to_owned(),
        (_, Some((end, kind))) => {
            let ended = match kind {
                EndKind::Expired => format!("expired in this anchor {end}"),
                EndKind::Revoked(reason) => format!("revoked in this anchor {end} ({reason})"),
            };
            match (why, bounds.made_after) {
                (Code::TimeNotProven, _) => format!("{ended}; {proven}"),
                (_, Some(made)) if made >= end => {
                    format!("{ended}, {} before it was signed", span(made.since(end)))
                }
                _ => ended,
            }
        }
        _ => why.meaning().to_owned(),
    }
}

fn span(d: std::time::Duration) -> String {
    let secs = d.as_secs();
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}
