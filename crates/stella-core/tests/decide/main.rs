//! What operators wish for, and what becomes of it: the rotation runbook, the
//! emergency, and everything that is refused with the command that helps.

mod events;
mod refusals;
mod revocation;
mod standby;
mod stores;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use proptest::prelude::*;
use stella_core::evidence::{Bound, TimeClass, TimeEvidence};
use stella_core::id::{AnchorId, AttestationId, EventId, KeyId};
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::anchor::{self, Addition, Scope};
use stella_core::trust::decide::key::{self, NewOwnKey};
use stella_core::trust::decide::revoke::{self, Revocation};
use stella_core::trust::decide::{Refusal, RefusalKind, attestation};
use stella_core::trust::event::KeyEntered;
use stella_core::trust::reason::Validity;
use stella_core::trust::state::Corrupt;
use stella_core::trust::{AnchorStatus, Event, EventBody, KeyState, KeyType, RevokeReason, TrustState};
use stella_core::verify::{Budget, Code};
use uuid::Uuid;

use support::{
    Bench, History, PURL, anchor_id, at, entered, key_id, new_own, open, payload, predicate, profile,
    public_key, sha, signature, subject_name,
};

const OVERLAP: Duration = Duration::from_secs(14 * 86_400);
const START: &str = "2024-01-15T00:00:00Z";
const ROTATION: &str = "2025-01-10T00:00:00Z";

/// An operator at work: what is decided is recorded.
struct Operator {
    log: History,
    now: Timestamp,
}

impl Operator {
    fn new() -> Self {
        Self {
            log: History::default(),
            now: at(START),
        }
    }

    fn state(&self) -> &TrustState {
        &self.log.state
    }

    fn record(&mut self, events: Vec<EventBody>) -> usize {
        let count = events.len();
        self.log.record(self.now, events);
        count
    }

    fn generate(&mut self, id: &str, n: usize, of: &str) -> usize {
        let events = key::enter_own(self.state(), new_own(id, n, of, self.now), self.now).expect("entered");
        self.record(events)
    }

    fn create_anchor(&mut self, n: u128, pattern: &str, keys: &[&str]) {
        let keys: Vec<KeyId> = keys.iter().map(|k| key_id(k)).collect();
        let pattern = pattern.parse().expect("a pattern");
        let events = anchor::create(
            self.state(),
            anchor_id(n),
            pattern,
            AnchorPolicy::default(),
            &keys,
            self.now,
        )
        .expect("created");
        self.record(events);
    }

    fn add_key(&mut self, scope: Scope, id: &str) -> Result<Addition, Refusal> {
        let mut addition = anchor::add_key(self.state(), &scope, &key_id(id), None, self.now)?;
        addition.events =
            anchor::with_activation(self.state(), addition.events, &key_id(id), OVERLAP, self.now);
        self.record(addition.events.clone());
        Ok(addition)
    }

    fn revoke(&mut self, scope: Scope, id: &str, r: &Revocation) -> Result<revoke::Revoked, Refusal> {
        let revoked = revoke::in_anchors(self.state(), &scope, &key_id(id), r, self.now)?;
        self.record(revoked.events.clone());
        Ok(revoked)
    }

    fn activate(&mut self, id: &str) -> Result<key::Activation, Refusal> {
        let activation = key::activate(self.state(), &key_id(id), OVERLAP, self.now)?;
        self.record(activation.events.clone());
        Ok(activation)
    }

    fn key(&self, id: &str) -> KeyState {
        self.state().keys[&key_id(id)].state(self.now)
    }

    fn verdict(&self, n: usize, recorded: &str) -> Code {
        let payload = payload(Some(PURL), "https://slsa.dev/provenance/v1");
        let mut case = signature(n, &payload);
        case.evidence.push(TimeEvidence {
            class: TimeClass::Recorded,
            authority: String::new(),
            bound: Bound::ExistedBy(at(recorded)),
            accuracy: None,
            recorded_at: at(recorded),
        });
        case.ledger = stella_core::evidence::Ledger::Signed { at: at(recorded) };
        let bench = Bench::new(self.state().clone());
        open(&payload, vec![case])
            .judge(bench.at(self.now), &subject_name(PURL), &mut Budget::new(9))
            .code
    }
}

fn one(n: u128) -> Scope {
    Scope::One(anchor_id(n))
}

fn rotation(effective: &str) -> Revocation {
    Revocation {
        reason: RevokeReason::AnnualRotation,
        effective_at: Some(at(effective)),
        compromised_since: None,
        note: None,
    }
}

fn compromise(effective: &str, since: Option<&str>) -> Revocation {
    Revocation {
        reason: RevokeReason::Compromise,
        effective_at: Some(at(effective)),
        compromised_since: since.map(at),
        note: None,
    }
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Refusal>, code: &str, next: &str) {
    let refusal = outcome.expect_err(code);
    assert_eq!(refusal.code, code, "{refusal}");
    assert_eq!(refusal.to_string(), refusal.message);
    let command = refusal.next.unwrap_or_default();
    assert!(
        command.contains(next) && command.starts_with("stella "),
        "{code}: next: {command:?}"
    );
}

/// Two anchors, both with the key of 2024, at the day of the rotation.
fn before_rotation() -> Operator {
    let mut op = Operator::new();
    op.generate("key-2024", 0, "default");
    op.create_anchor(1, "pkg:npm/*", &["key-2024"]);
    op.create_anchor(2, "pkg:maven/*", &["key-2024"]);
    op.now = at(ROTATION);
    op
}

#[test]
fn the_rotation_runbook_rotates() {
    let mut op = before_rotation();
    assert_eq!(op.key("key-2024"), KeyState::Active);
    op.generate("key-2025", 1, "default");
    assert_eq!(op.key("key-2025"), KeyState::Pending);

    op.add_key(one(1), "key-2025").expect("added");
    assert_eq!(op.key("key-2025"), KeyState::Pending, "one anchor still lacks it");
    op.add_key(one(2), "key-2025").expect("added");
    assert_eq!(op.key("key-2025"), KeyState::Active);
    assert_eq!(op.key("key-2024"), KeyState::Retiring);
    assert_eq!(
        op.state()
            .active_key(&profile("default"), op.now)
            .map(|k| k.id.clone()),
        Some(key_id("key-2025"))
    );

    op.now = op
        .now
        .saturating_add(OVERLAP)
        .saturating_sub(Duration::from_micros(1));
    assert_eq!(op.key("key-2024"), KeyState::Retiring);
    op.now = op.now.saturating_add(Duration::from_micros(1));
    assert_eq!(op.key("key-2024"), KeyState::Retired);
    assert_eq!(
        op.verdict(0, "2025-03-01T00:00:00Z"),
        Code::Ok,
        "retired, and good until revoked"
    );

    op.now = at("2025-03-10T00:00:00Z");
    let revoked = op
        .revoke(one(1), "key-2024", &rotation("2025-02-01T00:00:00Z"))
        .expect("revoked");
    assert!(!revoked.ends_signing && revoked.emptied.is_empty());
    assert_eq!(op.verdict(0, "2025-01-20T00:00:00Z"), Code::Ok);
    assert_eq!(op.verdict(0, "2025-03-04T09:12:44Z"), Code::KeyRevoked);
    assert_eq!(op.verdict(1, "2025-03-04T09:12:44Z"), Code::Ok);
    assert_eq!(
        op.state().anchors[&anchor_id(1)].policy_version.to_string(),
        "v1.0.3"
    );
}

#[test]
fn the_emergency_runbook_restores_signing() {
    let mut op = before_rotation();
    op.generate("fips-1", 3, "fips");
    op.create_anchor(3, "pkg:oci/*", &["fips-1"]);
    // An anchor in which a key of the profile was once, and is no more.
    op.generate("key-2023", 4, "default");
    op.create_anchor(4, "pkg:cargo/*", &["key-2023", "fips-1"]);
    op.revoke(one(4), "key-2023", &rotation(ROTATION))
        .expect("revoked");

    let revoked = op
        .revoke(Scope::All, "key-2024", &compromise(ROTATION, None))
        .expect("revoked");
    assert_eq!(revoked.anchors, [anchor_id(1), anchor_id(2)]);
    assert_eq!(revoked.emptied, [anchor_id(1), anchor_id(2)]);
    assert!(revoked.ends_signing);
    assert_eq!(op.key("key-2024"), KeyState::Compromised);
    assert_eq!(op.state().active_key(&profile("default"), op.now), None);
    assert_eq!(op.verdict(0, "2024-06-01T00:00:00Z"), Code::KeyWindowUnknown);

    op.generate("emergency", 1, "default");
    assert_eq!(op.key("emergency"), KeyState::Active, "the profile had none");
    let addition = op.add_key(Scope::All, "emergency").expect("added");
    assert_eq!(addition.added_to, [anchor_id(1), anchor_id(2), anchor_id(4)]);
    assert_eq!(op.verdict(1, ROTATION), Code::Ok);

    // Somebody found out since when. This server's own clock is not enough
    // for a stolen key, so the old signatures wait for another witness.
    op.now = at("2025-01-12T00:00:00Z");
    let stated = compromise("2025-01-12T00:00:00Z", Some("2025-01-02T00:00:00Z"));
    assert!(
        !op.revoke(Scope::All, "key-2024", &stated)
            .expect("stated")
            .ends_signing
    );
    assert_eq!(op.verdict(0, "2024-06-01T00:00:00Z"), Code::TimeNotProven);
    assert_eq!(op.verdict(0, "2025-01-05T00:00:00Z"), Code::KeyCompromised);
}

#[test]
fn a_standby_key_waits_and_a_key_of_another_profile_takes_nothing_over() {
    let mut op = before_rotation();
    let standby = NewOwnKey {
        standby: true,
        ..new_own("spare", 1, "empty", op.now)
    };
    let events = key::enter_own(op.state(), standby, op.now).expect("entered");
    op.record(events);
    assert_eq!(
        op.key("spare"),
        KeyState::Standby,
        "though its profile has no other"
    );
    op.generate("fips-1", 2, "fips");
    assert_eq!(op.key("fips-1"), KeyState::Active);
    assert_eq!(op.key("key-2024"), KeyState::Active);
    let log = NewOwnKey {
        key_type: KeyType::Log,
        ..new_own("log", 3, "logs", op.now)
    };
    assert_eq!(
        key::enter_own(op.state(), log, op.now).expect("entered").len(),
        1,
        "a log key signs no statements"
    );
    assert_eq!(op.activate("spare").expect("activated").outgoing, None);
}

#[test]
fn a_retiring_key_can_be_taken_back() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    let activation = op.activate("key-2025").expect("activated");
    assert_eq!(activation.outgoing, Some(key_id("key-2024")));
    assert_eq!(
        activation.lacking,
        [anchor_id(1), anchor_id(2)],
        "they would refuse what is signed now"
    );
    assert_eq!(op.key("key-2024"), KeyState::Retiring);

    let back = op.activate("key-2024").expect("taken back");
    assert_eq!(back.outgoing, Some(key_id("key-2025")));
    assert_eq!(
        (op.key("key-2024"), op.key("key-2025")),
        (KeyState::Active, KeyState::Retiring)
    );
}

#[test]
fn only_a_pending_key_that_an_anchor_holds_takes_over_by_itself() {
    let mut op = before_rotation();
    let standby = NewOwnKey {
        standby: true,
        ..new_own("spare", 1, "default", op.now)
    };
    let events = key::enter_own(op.state(), standby, op.now).expect("entered");
    op.record(events);
    op.add_key(Scope::All, "spare").expect("added");
    assert_eq!(op.key("spare"), KeyState::Standby);

    // Held by an anchor once and revoked there, it is lacking there.
    op.generate("key-2025", 2, "default");
    op.add_key(one(1), "key-2025").expect("added");
    op.revoke(one(1), "key-2025", &rotation(ROTATION))
        .expect("revoked");
    op.add_key(one(2), "key-2025").expect("added");
    assert_eq!(op.key("key-2025"), KeyState::Pending);

    // Where no anchor holds the outgoing key, none asks for the new one; one
    // that no anchor holds would still sign for nobody.
    op.generate("fips-1", 3, "fips");
    op.generate("fips-2", 4, "fips");
    let fips = key_id("fips-2");
    assert_eq!(key::activate_on_trust(op.state(), &fips, OVERLAP, op.now), []);
    op.add_key(one(1), "fips-2").expect("added");
    assert_eq!(op.key("fips-2"), KeyState::Active);
}

/// Who pinned the root with one feed key must have time to pin the next.
#[test]
fn the_last_feed_key_is_not_retired() {
    let mut op = Operator::new();
    let feed = |id: &str, n: usize, now| NewOwnKey {
        key_type: KeyType::Feed,
        ..new_own(id, n, "default", now)
    };
    op.generate("signing", 0, "default");
    let first = key::enter_own(op.state(), feed("feed-1", 1, op.now), op.now).expect("entered");
    op.record(first);
    let next = "stella keys generate --type feed";
    refused(
        key::retire(op.state(), &key_id("feed-1"), op.now),
        "key.active",
        next,
    );
    let second = key::enter_own(op.state(), feed("feed-2", 2, op.now), op.now).expect("entered");
    op.record(second);
    for id in ["feed-1", "feed-2"] {
        assert_eq!(op.state().keys[&key_id(id)].state(op.now), KeyState::Active);
    }
    let retired = key::retire(op.state(), &key_id("feed-1"), op.now).expect("a successor is there");
    assert_eq!(op.record(retired), 1);
    assert_eq!(
        op.state().keys[&key_id("feed-1")].state(op.now),
        KeyState::Retired
    );
    let again = key::retire(op.state(), &key_id("feed-1"), op.now);
    assert_eq!(again.expect("done already"), []);
    refused(
        key::retire(op.state(), &key_id("feed-2"), op.now),
        "key.active",
        next,
    );
    refused(
        key::retire(op.state(), &key_id("signing"), op.now),
        "key.active",
        "stella keys generate --profile default",
    );
}

#[test]
fn a_key_signs_from_its_activation_until_its_end() {
    let entered = |end: Option<Timestamp>, standby: bool| {
        let mut op = Operator::new();
        let new = NewOwnKey {
            not_after: end,
            standby,
            ..new_own("key-1", 0, "default", op.now)
        };
        let events = key::enter_own(op.state(), new, op.now).expect("entered");
        op.record(events);
        op
    };
    let micro = Duration::from_micros(1);
    let end = at(START).saturating_add(micro);
    let signs = |op: &Operator, now| op.state().keys[&key_id("key-1")].may_sign(now);
    let ending = entered(Some(end), false);
    assert_eq!(ending.key("key-1"), KeyState::Active);
    assert!(signs(&ending, at(START)) && !signs(&ending, end));
    assert!(signs(&entered(None, false), end));
    assert!(!signs(&entered(None, true), at(START)), "it stands by");
    let late = entered(Some(at(START)), false);
    assert_eq!(late.key("key-1"), KeyState::Pending, "it never could");
}

/// A successor that may not sign any more is none.
#[test]
fn a_feed_key_past_its_end_keeps_the_other_one() {
    let mut op = Operator::new();
    let end = at(START).saturating_add(Duration::from_secs(1));
    for (id, n, not_after) in [("feed-1", 1, None), ("feed-2", 2, Some(end))] {
        let new = NewOwnKey {
            key_type: KeyType::Feed,
            not_after,
            ..new_own(id, n, "default", op.now)
        };
        let events = key::enter_own(op.state(), new, op.now).expect("entered");
        op.record(events);
    }
    let retire = |now| key::retire(op.state(), &key_id("feed-1"), now);
    assert_eq!(retire(op.now).expect("feed-2 may sign").len(), 1);
    refused(retire(end), "key.active", "stella keys generate --type feed");
}

#[test]
fn types_and_states_of_keys_are_written_as_they_are_called() {
    let types = KeyType::ALL.map(|t| t.to_string());
    assert_eq!(types, ["signing", "log", "timestamp", "feed"]);
    let states = KeyState::ALL.map(|s| s.to_string()).join(" ");
    assert_eq!(
        states,
        "pending standby active retiring retired revoked compromised external"
    );
}
