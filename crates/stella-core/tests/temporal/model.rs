//! The rules of time once more, in the most naive way: no state is kept, every
//! question searches the whole history, and the earliest proven moment is
//! found by trying every moment. It shares no code with the engine.

use std::collections::BTreeSet;

use stella_core::evidence::TimeClass;
use stella_core::verify::{Code, Verdict};

use crate::world::{Act, Hint, KEYS, Log, Owner, Policy, Proof, Sig, WINDOW, World};

/// When a key's word ends in an anchor, by everything ever said about it.
enum End {
    Never,
    At(i64, Code),
    /// Nobody has said since when, but no later than this.
    Unknown(i64, Code),
}

pub fn verdict(w: &World) -> Verdict {
    if w.said.iter().any(|s| matches!(s.act, Act::Withdraw)) {
        return Verdict::Fail;
    }
    let answers: Vec<_> = (0..2)
        .filter(|a| w.has_anchor(*a))
        .map(|a| by_anchor(w, a))
        .collect();
    [Verdict::Pass, Verdict::Indeterminate]
        .into_iter()
        .find(|v| answers.contains(v))
        .unwrap_or(Verdict::Fail)
}

fn by_anchor(w: &World, anchor: usize) -> Verdict {
    let policy = policy(w, anchor);
    if disabled(w, anchor) || policy.allows == Some(false) {
        return Verdict::Fail;
    }
    let mut good = BTreeSet::new();
    let mut open = BTreeSet::new();
    for sig in &w.signatures {
        let (maker, code) = signature(w, anchor, sig);
        if code.verdict() == Verdict::Pass {
            good.insert(maker);
        }
        if code.verdict() != Verdict::Fail {
            open.insert(maker);
        }
    }
    if good.len() >= policy.threshold {
        Verdict::Pass
    } else if open.len() >= policy.threshold {
        Verdict::Indeterminate
    } else {
        Verdict::Fail
    }
}

pub fn policy(w: &World, anchor: usize) -> &Policy {
    w.said
        .iter()
        .rev()
        .find_map(|s| match &s.act {
            Act::Create { anchor: a, policy } | Act::Update { anchor: a, policy } if *a == anchor => {
                Some(policy)
            }
            _ => None,
        })
        .expect("the anchor was created")
}

pub fn disabled(w: &World, anchor: usize) -> bool {
    w.said
        .iter()
        .rev()
        .find_map(|s| match s.act {
            Act::Disable { anchor: a } if a == anchor => Some(true),
            Act::Enable { anchor: a } if a == anchor => Some(false),
            _ => None,
        })
        .unwrap_or(false)
}

/// Who made it, and what that is worth in this anchor.
pub fn signature(w: &World, anchor: usize, sig: &Sig) -> (Option<usize>, Code) {
    let maker = match (sig.hint, sig.maker) {
        (Hint::Key(named), made) if made != Some(named) => return (None, Code::SignatureInvalid),
        (_, Some(made)) if w.holds(anchor, made) => made,
        _ => return (None, Code::KeyNotAllowed),
    };
    let code = key(w, anchor, maker, sig);
    let policy = policy(w, anchor);
    let ledger = match sig.ledger {
        Log::Signed(at) if at > w.asker.now => Log::NotConsulted,
        known => known,
    };
    let owner = w.keys[maker].owner;
    let code = match (ledger, code.verdict()) {
        _ if owner == Owner::Foreign => code,
        (Log::Unknown, Verdict::Pass | Verdict::Indeterminate) if policy.require_ledger => {
            Code::LedgerUnknown
        }
        (Log::Unknown, _) if code == Code::KeyWindowUnknown && owner == Owner::Exclusive => {
            Code::LedgerUnknown
        }
        (Log::NotConsulted, Verdict::Pass) if policy.require_ledger => Code::LedgerNotConsulted,
        _ => code,
    };
    (Some(maker), code)
}

fn key(w: &World, anchor: usize, key: usize, sig: &Sig) -> Code {
    let existed_by = existed_by(w, anchor, key, sig);
    let end = end(w, anchor, key);
    let code = match (w.asker.at_time, &end) {
        (Some(asked), _) if asked < added(w, anchor, key) => Code::KeyNotYetAdded,
        (Some(asked), End::At(end, why) | End::Unknown(end, why)) if asked >= *end => *why,
        (Some(_), End::Unknown(..)) => Code::KeyWindowUnknown,
        (None, End::Unknown(end, why))
            if existed_by >= *end && made_after(w, sig).is_some_and(|made| made >= *end) =>
        {
            *why
        }
        (None, End::Unknown(..)) => Code::KeyWindowUnknown,
        (Some(asked), _) if existed_by > asked => Code::TimeNotProvenBy,
        (Some(_), _) | (None, End::Never) => Code::Ok,
        (None, End::At(end, _)) if existed_by < *end => Code::Ok,
        (None, End::At(end, why)) if made_after(w, sig).is_some_and(|made| made >= *end) => *why,
        (None, End::At(..)) => Code::TimeNotProven,
    };
    let lacks = |class| !has(w, anchor, key, sig, class);
    let missing = match policy(w, anchor).require {
        Some(TimeClass::Attested) => lacks(TimeClass::Attested),
        Some(_) => lacks(TimeClass::Attested) && lacks(TimeClass::Recorded),
        None => false,
    };
    if code == Code::Ok && missing {
        Code::EvidenceRequired
    } else {
        code
    }
}

fn added(w: &World, anchor: usize, key: usize) -> i64 {
    w.said
        .iter()
        .find_map(|s| match s.act {
            Act::Add {
                anchor: a,
                key: k,
                added,
                ..
            } if (a, k) == (anchor, key) => Some(added),
            _ => None,
        })
        .expect("the anchor holds the key")
}

/// Every end ever stated stays: the earliest of them is the end. A compromise
/// whose start nobody has stated may turn out to have begun before it.
fn end(w: &World, anchor: usize, key: usize) -> End {
    let mut ends = Vec::new();
    let mut expiry = None;
    let (mut compromised, mut since_stated) = (false, false);
    for s in &w.said {
        match s.act {
            Act::Add {
                anchor: a,
                key: k,
                expires,
                ..
            } if (a, k) == (anchor, key) => expiry = expires,
            Act::Revoke {
                anchor: a,
                key: k,
                effective,
            } if (a, k) == (anchor, key) => ends.push(effective),
            Act::Compromise {
                anchor: a,
                key: k,
                effective,
                since,
            } if (a, k) == (anchor, key) => {
                compromised = true;
                ends.push(effective);
                since_stated |= since.is_some();
                ends.extend(since);
            }
            _ => {}
        }
    }
    let open = compromised && !since_stated;
    let why = if compromised {
        Code::KeyCompromised
    } else {
        Code::KeyRevoked
    };
    let (end, why) = match (ends.into_iter().min(), expiry) {
        (Some(end), Some(expiry)) if expiry < end => (expiry, Code::KeyExpired),
        (Some(end), _) => (end, why),
        (None, Some(expiry)) => (expiry, Code::KeyExpired),
        (None, None) => return End::Never,
    };
    if open {
        End::Unknown(end, why)
    } else {
        End::At(end, why)
    }
}

fn compromised(w: &World, anchor: usize, key: usize) -> bool {
    w.said
        .iter()
        .any(|s| matches!(s.act, Act::Compromise { anchor: a, key: k, .. } if (a, k) == (anchor, key)))
}

/// The earliest moment by which an accepted class proves that the signature
/// existed; whoever verifies holds it now.
fn existed_by(w: &World, anchor: usize, key: usize, sig: &Sig) -> i64 {
    (-60..w.asker.now)
        .find(|moment| {
            [TimeClass::Recorded, TimeClass::Attested]
                .into_iter()
                .any(|class| proven(w, anchor, key, sig, class, *moment))
        })
        .unwrap_or(w.asker.now)
}

fn has(w: &World, anchor: usize, key: usize, sig: &Sig, class: TimeClass) -> bool {
    proven(w, anchor, key, sig, class, w.asker.now)
}

fn proven(w: &World, anchor: usize, key: usize, sig: &Sig, class: TimeClass, by: i64) -> bool {
    let policy = policy(w, anchor);
    let usable = sig
        .evidence
        .iter()
        .filter(|p| p.class == class && !p.lower && p.recorded <= w.asker.now)
        .filter(|p| {
            proves_by(w, p).is_some_and(|moment| {
                moment <= by && w.keys[key].created.is_none_or(|created| moment >= created)
            })
        });
    if class == TimeClass::Attested {
        let operators: BTreeSet<_> = usable.filter_map(operator).collect();
        operators.len() >= policy.operators
    } else {
        let attested_only = policy.floor == TimeClass::Attested
            || w.asker.floor == Some(TimeClass::Attested)
            || (compromised(w, anchor, key) && !w.asker.recorded_for_compromise);
        !attested_only && usable.count() > 0
    }
}

/// The moment a piece of evidence speaks for; none if it contradicts the
/// present or says nothing.
fn proves_by(w: &World, p: &Proof) -> Option<i64> {
    let (stated, now) = (p.stated?, w.asker.now);
    match p.class {
        TimeClass::Recorded => (stated <= now).then_some(stated),
        TimeClass::Attested => {
            let accuracy = p.accuracy.unwrap_or(1);
            (stated <= now + accuracy).then_some((stated + accuracy).min(now))
        }
        TimeClass::Claimed => None,
    }
}

/// Who speaks, if it is another operator whose word held then.
fn operator(p: &Proof) -> Option<&'static str> {
    match p.authority {
        "a1" | "a2" => Some("A"),
        "b" => Some("B"),
        "c" => Some("C"),
        "windowed" if p.stated.is_some_and(|s| (WINDOW.0..WINDOW.1).contains(&s)) => Some("W"),
        _ => None,
    }
}

/// The latest moment after which it was certainly made.
pub fn made_after(w: &World, sig: &Sig) -> Option<i64> {
    let by_ledger = match sig.ledger {
        Log::Signed(at) if at <= w.asker.now => Some(at),
        _ => None,
    };
    sig.evidence
        .iter()
        .filter(|p| p.lower && p.class == TimeClass::Attested && p.recorded <= w.asker.now)
        .filter(|p| operator(p).is_some())
        .filter_map(|p| Some((p.stated?, p.accuracy.unwrap_or(1))))
        .filter(|(stated, accuracy)| *stated <= w.asker.now + accuracy)
        .map(|(stated, accuracy)| stated - accuracy)
        .chain(by_ledger)
        .max()
}

/// The code where one anchor judges one signature and nothing else decides.
pub fn code(w: &World) -> Option<Code> {
    let [sig] = &w.signatures[..] else {
        return None;
    };
    let plain = !w.has_anchor(1)
        && !disabled(w, 0)
        && policy(w, 0).allows != Some(false)
        && policy(w, 0).threshold == 1
        && !w.said.iter().any(|s| matches!(s.act, Act::Withdraw));
    plain.then(|| signature(w, 0, sig).1)
}

/// A key that no anchor holds yet.
pub fn absent_key(w: &World, anchor: usize, start: usize) -> Option<usize> {
    (0..KEYS)
        .map(|n| (n + start) % KEYS)
        .find(|n| !w.holds(anchor, *n))
}
