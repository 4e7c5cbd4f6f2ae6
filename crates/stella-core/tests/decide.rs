//! What operators wish for, and what becomes of it: the rotation runbook, the
//! emergency, and everything that is refused with the command that helps.

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
        effective_at: at(effective),
        compromised_since: None,
        note: None,
    }
}

fn compromise(effective: &str, since: Option<&str>) -> Revocation {
    Revocation {
        reason: RevokeReason::Compromise,
        effective_at: at(effective),
        compromised_since: since.map(at),
        note: None,
    }
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Refusal>, code: &str, next: &str) {
    let refusal = outcome.expect_err(code);
    assert_eq!(refusal.code, code, "{refusal}");
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
fn what_signs_or_stands_alone_is_not_revoked_by_the_way() {
    let mut op = before_rotation();
    refused(
        op.revoke(one(1), "key-2024", &rotation(ROTATION)),
        "key.active",
        "stella keys generate --profile default",
    );
    refused(
        revoke::everywhere(op.state(), &key_id("key-2024"), &rotation(ROTATION), op.now),
        "key.active",
        "add-key --anchor-id ALL",
    );
    refused(
        key::retire(op.state(), &key_id("key-2024"), op.now),
        "key.active",
        "stella keys generate",
    );

    op.generate("key-2025", 1, "default");
    op.activate("key-2025").expect("activated");
    op.add_key(one(2), "key-2025").expect("added");
    refused(
        op.revoke(one(1), "key-2024", &rotation(ROTATION)),
        "anchor.last-key",
        &anchor_id(1).to_string(),
    );
    refused(
        op.revoke(Scope::All, "key-2024", &rotation(ROTATION)),
        "anchor.last-key",
        "add-key",
    );
    assert!(op.revoke(one(2), "key-2024", &rotation(ROTATION)).is_ok());

    // A compromise asks nobody.
    let revoked = op
        .revoke(one(1), "key-2024", &compromise(ROTATION, None))
        .expect("revoked");
    assert_eq!(revoked.emptied, [anchor_id(1)]);
    // What is no key any more is no last key: its end may still be moved earlier.
    assert!(
        op.revoke(
            one(1),
            "key-2024",
            &compromise(ROTATION, Some("2024-12-01T00:00:00Z"))
        )
        .is_ok()
    );
}

#[test]
fn an_expired_key_keeps_no_anchor_alive() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    let soon = op.now.saturating_add(Duration::from_secs(60));
    let addition =
        anchor::add_key(op.state(), &one(1), &key_id("key-2025"), Some(soon), op.now).expect("added");
    op.record(addition.events);
    op.activate("key-2025").expect("activated");
    op.now = soon;
    refused(
        op.revoke(one(1), "key-2024", &rotation(ROTATION)),
        "anchor.last-key",
        "add-key",
    );
}

#[test]
fn a_revocation_only_becomes_earlier_and_worse() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    let february = rotation("2025-02-01T00:00:00Z");
    op.now = at("2025-03-01T00:00:00Z");
    op.revoke(one(1), "key-2024", &february).expect("revoked");

    refused(
        op.revoke(one(1), "key-2024", &rotation("2025-02-01T00:00:00.000001Z")),
        "key.revocation-loosened",
        "stella anchor show",
    );
    op.revoke(one(1), "key-2024", &rotation("2025-01-31T00:00:00Z"))
        .expect("earlier");
    assert_eq!(end_of(&op, 1), Some(at("2025-01-31T00:00:00Z")));

    // Stolen only after it had ended: that is told, and the end stays.
    op.revoke(
        one(1),
        "key-2024",
        &compromise("2025-03-01T00:00:00Z", Some("2025-02-20T00:00:00Z")),
    )
    .expect("worse");
    assert_eq!(end_of(&op, 1), Some(at("2025-01-31T00:00:00Z")));
    assert_eq!(op.key("key-2024"), KeyState::Compromised);
    assert_eq!(op.verdict(0, "2025-02-10T00:00:00Z"), Code::KeyCompromised);

    refused(
        op.revoke(one(1), "key-2024", &rotation("2024-12-01T00:00:00Z")),
        "key.revocation-loosened",
        "stella anchor show",
    );
    refused(
        op.revoke(one(1), "key-2024", &compromise("2025-03-01T00:00:00Z", None)),
        "key.revocation-loosened",
        "stella anchor show",
    );
    op.revoke(
        one(1),
        "key-2024",
        &compromise("2025-03-01T00:00:00Z", Some("2024-11-01T00:00:00Z")),
    )
    .expect("earlier");
    assert_eq!(end_of(&op, 1), Some(at("2024-11-01T00:00:00Z")));

    // The other anchor may be told without knowing since when.
    op.revoke(one(2), "key-2024", &compromise("2025-03-01T00:00:00Z", None))
        .expect("told");
    assert_eq!(end_of(&op, 2), None);
    refused(
        revoke::everywhere(
            op.state(),
            &key_id("key-2024"),
            &rotation("2024-01-01T00:00:00Z"),
            op.now,
        ),
        "key.revocation-loosened",
        "stella anchor show",
    );
}

/// The way round: from a plain end over an unknown window to a later start.
#[test]
fn no_detour_over_an_unknown_window_moves_an_end_later() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    op.now = at("2025-06-01T00:00:00Z");
    op.revoke(one(1), "key-2024", &rotation("2025-02-01T00:00:00Z"))
        .expect("revoked");
    op.revoke(one(1), "key-2024", &compromise("2025-06-01T00:00:00Z", None))
        .expect("worse");
    assert_eq!(end_of(&op, 1), None);
    op.revoke(
        one(1),
        "key-2024",
        &compromise("2025-06-01T00:00:00Z", Some("2025-05-01T00:00:00Z")),
    )
    .expect("stated");
    assert_eq!(end_of(&op, 1), Some(at("2025-02-01T00:00:00Z")));
}

fn end_of(op: &Operator, anchor: u128) -> Option<Timestamp> {
    let held = op.state().anchors[&anchor_id(anchor)]
        .key(&key_id("key-2024"))
        .expect("held");
    match held.validity() {
        Validity::Until { end, .. } => Some(end),
        Validity::Open | Validity::WindowUnknown => None,
    }
}

#[test]
fn revoking_a_key_everywhere_ends_it_everywhere_at_once() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    let revoked =
        revoke::everywhere(op.state(), &key_id("key-2024"), &rotation(ROTATION), op.now).expect("revoked");
    assert_eq!(revoked.anchors, [anchor_id(1), anchor_id(2)]);
    assert!(revoked.ends_signing);
    assert_eq!(op.record(revoked.events), 3);
    assert_eq!(op.key("key-2024"), KeyState::Revoked);
    let again =
        revoke::everywhere(op.state(), &key_id("key-2024"), &rotation(ROTATION), op.now).expect("nothing");
    assert!(again.events.is_empty() && !again.ends_signing);
    for next in [
        op.activate("key-2024").map(|_| ()),
        op.add_key(one(1), "key-2024").map(|_| ()),
    ] {
        refused(next, "key.ended", "stella keys generate");
    }
    let created = anchor::create(
        op.state(),
        anchor_id(7),
        "*".parse().expect("a pattern"),
        AnchorPolicy::default(),
        &[key_id("key-2024")],
        op.now,
    );
    refused(created, "key.ended", "stella keys generate");
    // Worse is told of the key as a whole, too.
    let worse = revoke::everywhere(
        op.state(),
        &key_id("key-2024"),
        &compromise(ROTATION, None),
        op.now,
    )
    .expect("worse");
    assert_eq!(worse.events.len(), 3);
    assert!(!worse.ends_signing, "it had ended before");
    op.record(worse.events);
    assert_eq!(op.key("key-2024"), KeyState::Compromised);
}

#[test]
fn a_key_revoked_in_an_anchor_never_returns_to_it() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    op.revoke(one(1), "key-2024", &rotation(ROTATION))
        .expect("revoked");
    refused(
        op.add_key(one(1), "key-2024"),
        "anchor.key-revoked-here",
        "stella keys generate",
    );
    assert_eq!(
        op.add_key(one(2), "key-2024").expect("still held").held_already,
        [anchor_id(2)]
    );
}

#[test]
fn names_and_material_are_entered_once() {
    let op = before_rotation();
    let enter = |id: &str, n: usize, of: &str| key::enter_own(op.state(), new_own(id, n, of, op.now), op.now);
    refused(
        enter("key-2024", 5, "default"),
        "key.exists",
        "stella keys show key-2024",
    );
    refused(
        enter("other", 0, "fips"),
        "key.same-material",
        "stella keys show key-2024",
    );
    let as_log = NewOwnKey {
        key_type: KeyType::Log,
        ..new_own("log", 0, "logs", op.now)
    };
    refused(
        key::enter_own(op.state(), as_log, op.now),
        "key.same-material",
        "stella keys show key-2024",
    );
    refused(
        key::enter_external(op.state(), key_id("theirs"), public_key(0), None, op.now),
        "key.same-material",
        "stella keys show key-2024",
    );
    let future = Some(op.now.saturating_add(Duration::from_micros(1)));
    let refusal =
        key::enter_external(op.state(), key_id("theirs"), public_key(6), future, op.now).expect_err("future");
    assert_eq!(
        (refusal.code, refusal.kind),
        ("key.created-in-future", RefusalKind::Invalid)
    );
    assert!(key::enter_external(op.state(), key_id("theirs"), public_key(6), Some(op.now), op.now).is_ok());
}

#[test]
fn what_has_ended_signs_nothing_more() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.activate("key-2025").expect("activated");
    let events = key::retire(op.state(), &key_id("key-2024"), op.now).expect("retired");
    assert_eq!(op.record(events), 1);
    refused(
        op.activate("key-2024"),
        "key.retired",
        "stella keys generate --profile default",
    );
    assert_eq!(
        key::retire(op.state(), &key_id("key-2024"), op.now),
        Ok(Vec::new())
    );

    let aged = NewOwnKey {
        not_after: Some(op.now),
        ..new_own("aged", 2, "default", op.now)
    };
    let events = key::enter_own(op.state(), aged, op.now).expect("entered");
    op.record(events);
    refused(op.activate("aged"), "key.past-its-life", "stella keys generate");
    op.add_key(Scope::All, "aged").expect("added");
    assert_eq!(
        op.key("aged"),
        KeyState::Pending,
        "on-trust activates no key past its life"
    );

    let external =
        key::enter_external(op.state(), key_id("theirs"), public_key(7), None, op.now).expect("entered");
    op.record(external);
    assert_eq!(op.activate("theirs").expect_err("external").code, "key.external");
    assert_eq!(
        key::retire(op.state(), &key_id("theirs"), op.now)
            .expect_err("external")
            .code,
        "key.external"
    );
    refused(op.activate("nobody"), "key.unknown", "stella keys list");
    assert_eq!(op.activate("key-2025").expect("already").events, []);
    op.revoke(Scope::All, "key-2024", &compromise(ROTATION, None))
        .expect("revoked");
    refused(
        op.activate("key-2024"),
        "key.ended",
        "stella keys generate --profile default",
    );
    assert_eq!(
        key::retire(op.state(), &key_id("key-2024"), op.now)
            .expect_err("ended")
            .code,
        "key.ended"
    );
}

#[test]
fn only_keys_that_sign_statements_enter_anchors() {
    let mut op = before_rotation();
    let log = NewOwnKey {
        key_type: KeyType::Log,
        ..new_own("log", 3, "default", op.now)
    };
    let events = key::enter_own(op.state(), log, op.now).expect("entered");
    op.record(events);
    refused(
        op.add_key(one(1), "log"),
        "key.not-a-signing-key",
        "stella keys list --type signing",
    );
    assert_eq!(
        op.activate("log").expect_err("a log key").code,
        "key.not-a-signing-key"
    );
}

#[test]
fn an_anchor_that_could_never_pass_is_not_made() {
    let op = before_rotation();
    let code = |policy: AnchorPolicy| {
        let created = anchor::create(
            op.state(),
            anchor_id(9),
            "*".parse().expect("a pattern"),
            policy.clone(),
            &[],
            op.now,
        );
        let updated = anchor::update(op.state(), anchor_id(1), policy);
        let codes = (created.err().map(|r| r.code), updated.err().map(|r| r.code));
        assert_eq!(codes.0, codes.1);
        codes.0
    };
    let plain = AnchorPolicy::default;
    assert_eq!(
        code(AnchorPolicy {
            threshold: 2,
            ..plain()
        }),
        None
    );
    assert_eq!(
        code(AnchorPolicy {
            threshold: 0,
            ..plain()
        }),
        Some("anchor.threshold")
    );
    assert_eq!(
        code(AnchorPolicy {
            time_operators: 0,
            ..plain()
        }),
        Some("anchor.threshold")
    );
    assert_eq!(
        code(AnchorPolicy {
            min_time_evidence: TimeClass::Claimed,
            ..plain()
        }),
        Some("anchor.evidence-class")
    );
    assert_eq!(
        code(AnchorPolicy {
            require_evidence: Some(TimeClass::Claimed),
            ..plain()
        }),
        Some("anchor.evidence-class")
    );
    let required = AnchorPolicy {
        required_predicate_types: [predicate("cyclonedx")].into(),
        allowed_predicate_types: Some([predicate("spdx")].into()),
        ..plain()
    };
    assert_eq!(code(required), Some("anchor.required-not-allowed"));
}

#[test]
fn what_is_not_there_is_named_with_the_list_that_shows_what_is() {
    let mut op = before_rotation();
    refused(
        anchor::set_status(op.state(), anchor_id(8), AnchorStatus::Disabled, None),
        "anchor.unknown",
        "stella anchor list",
    );
    refused(
        op.revoke(one(8), "key-2024", &compromise(ROTATION, None)),
        "anchor.unknown",
        "stella anchor list",
    );
    op.generate("key-2025", 1, "default");
    refused(
        op.revoke(one(1), "key-2025", &rotation(ROTATION)),
        "anchor.key-not-here",
        "stella anchor show",
    );
    refused(
        anchor::create(
            op.state(),
            anchor_id(1),
            "*".parse().expect("a pattern"),
            AnchorPolicy::default(),
            &[],
            op.now,
        ),
        "anchor.exists",
        "stella anchor show",
    );
    op.generate("sm2-1", 2, "sm2");
    refused(
        op.add_key(Scope::All, "sm2-1"),
        "anchor.none-affected",
        "stella anchor create",
    );
    let external =
        key::enter_external(op.state(), key_id("theirs"), public_key(7), None, op.now).expect("entered");
    op.record(external);
    refused(
        op.add_key(Scope::All, "theirs"),
        "anchor.all-needs-profile",
        "stella anchor list",
    );
    let past = anchor::add_key(op.state(), &one(1), &key_id("theirs"), Some(op.now), op.now);
    assert_eq!(past.expect_err("past").code, "anchor.expires-in-past");
}

#[test]
fn the_start_of_a_compromise_goes_with_a_compromise_and_lies_in_the_past() {
    let mut op = before_rotation();
    let later = op.now.saturating_add(Duration::from_micros(1));
    let code =
        |op: &mut Operator, r: Revocation| op.revoke(one(1), "key-2024", &r).map_err(|r| r.code).map(|_| ());
    assert_eq!(
        code(
            &mut op,
            Revocation {
                compromised_since: Some(at(START)),
                ..rotation(ROTATION)
            }
        ),
        Err("key.since-without-compromise")
    );
    assert_eq!(
        code(
            &mut op,
            Revocation {
                compromised_since: Some(later),
                ..compromise(ROTATION, None)
            }
        ),
        Err("key.since-in-future")
    );
    assert_eq!(code(&mut op, compromise(ROTATION, Some(ROTATION))), Ok(()));
}

#[test]
fn saying_it_twice_is_no_event() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    assert!(
        op.add_key(Scope::All, "key-2025")
            .expect("again")
            .events
            .is_empty()
    );
    for r in [
        rotation(ROTATION),
        compromise(ROTATION, None),
        compromise(ROTATION, Some("2024-12-01T00:00:00Z")),
    ] {
        assert!(
            !op.revoke(Scope::All, "key-2024", &r)
                .expect("said")
                .events
                .is_empty()
        );
        op.now = op.now.saturating_add(Duration::from_secs(5));
        assert!(
            op.revoke(Scope::All, "key-2024", &r)
                .expect("again")
                .events
                .is_empty()
        );
    }
    // "Compromised, now" said a moment later is the same word.
    let later = compromise("2025-01-11T00:00:00Z", Some("2024-12-01T00:00:00Z"));
    assert!(
        op.revoke(Scope::All, "key-2024", &later)
            .expect("again")
            .events
            .is_empty()
    );

    for (status, count) in [
        (AnchorStatus::Active, 0),
        (AnchorStatus::Disabled, 1),
        (AnchorStatus::Disabled, 0),
        (AnchorStatus::Active, 1),
    ] {
        let events = anchor::set_status(op.state(), anchor_id(1), status, None).expect("set");
        assert_eq!(op.record(events), count);
        assert_eq!(op.state().anchors[&anchor_id(1)].status, status);
    }
    let policy = AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    for count in [1, 0] {
        let events = anchor::update(op.state(), anchor_id(1), policy.clone()).expect("updated");
        assert_eq!(op.record(events), count);
    }
    for count in [1, 0] {
        let events = attestation::withdraw(op.state(), sha("pae"), RevokeReason::Unspecified, None)
            .expect("withdrawn");
        assert_eq!(op.record(events), count);
    }
    let keys = ["key-2025", "key-2025"].map(key_id);
    let created = anchor::create(
        op.state(),
        anchor_id(5),
        "*".parse().expect("a pattern"),
        AnchorPolicy::default(),
        &keys,
        op.now,
    );
    assert_eq!(created.expect("created").len(), 2);
}

fn every_body() -> Vec<EventBody> {
    let (anchor_id, key_id, note) = (
        anchor_id(1),
        key_id("k"),
        Some("why, in \"words\" — ключ".to_owned()),
    );
    let when = at("2025-02-01T00:00:00.000001Z");
    let policy = AnchorPolicy {
        allowed_predicate_types: Some([predicate("cyclonedx"), predicate("https://example.com/x")].into()),
        required_predicate_types: [predicate("cyclonedx")].into(),
        threshold: u32::MAX,
        min_time_evidence: TimeClass::Attested,
        time_operators: 3,
        require_evidence: Some(TimeClass::Recorded),
        require_ledger: true,
    };
    vec![
        EventBody::KeyGenerated(entered("k", 0, Some(when), Some("default"))),
        EventBody::KeyImported(entered("x", 1, None, None)),
        EventBody::KeyImported(KeyEntered {
            key_type: KeyType::Feed,
            ..entered("f", 2, Some(when), Some("feed"))
        }),
        EventBody::AnchorCreated {
            anchor_id,
            purl_pattern: "pkg:npm/@acme/*".parse().expect("a pattern"),
            policy: policy.clone(),
        },
        EventBody::AnchorCreated {
            anchor_id: support::anchor_id(2),
            purl_pattern: "*".parse().expect("a pattern"),
            policy: AnchorPolicy::default(),
        },
        EventBody::AnchorUpdated {
            anchor_id,
            policy: AnchorPolicy {
                allowed_predicate_types: Some([].into()),
                ..policy
            },
        },
        EventBody::AnchorDisabled {
            anchor_id,
            note: note.clone(),
        },
        EventBody::AnchorEnabled {
            anchor_id,
            note: None,
        },
        EventBody::KeyAdded {
            anchor_id,
            key_id: key_id.clone(),
            added_at: when,
            expires_at: Some(Timestamp::MAX),
        },
        EventBody::KeyActivated {
            key_id: key_id.clone(),
        },
        EventBody::KeyRetiring {
            key_id: key_id.clone(),
            until: when,
            successor: support::key_id("x"),
        },
        EventBody::KeyRetired {
            key_id: key_id.clone(),
        },
        EventBody::KeyRevoked {
            anchor_id: Some(anchor_id),
            key_id: key_id.clone(),
            reason: RevokeReason::AnnualRotation,
            effective_at: when,
            compromised_since: None,
            note: note.clone(),
        },
        EventBody::KeyRevoked {
            anchor_id: None,
            key_id,
            reason: RevokeReason::Compromise,
            effective_at: when,
            compromised_since: Some(Timestamp::MIN),
            note: None,
        },
        EventBody::ConfigSet {
            key: "signing.mode".to_owned(),
            value: "software".to_owned(),
        },
        EventBody::ConfigUnset {
            key: "signing.mode".to_owned(),
        },
        EventBody::AttestationWithdrawn {
            pae: sha("a"),
            reason: RevokeReason::PolicyViolation,
            note,
        },
        EventBody::AttestationSuperseded {
            pae: sha("b"),
            successor: AttestationId(Uuid::from_u128(5)),
        },
        EventBody::TokenCreated {
            token_id: "t".to_owned(),
            name: "ci".to_owned(),
            role: "signer".to_owned(),
        },
        EventBody::TokenRevoked {
            token_id: "t".to_owned(),
        },
    ]
}

fn event(sequence: u64, body: EventBody) -> Event {
    Event {
        sequence,
        id: EventId(Uuid::from_u128(u128::from(sequence))),
        recorded_at: at("2025-02-01T00:00:00.5Z"),
        actor: "token:ci".to_owned(),
        body,
    }
}

#[test]
fn every_event_survives_its_canonical_bytes() {
    let mut types = std::collections::BTreeSet::new();
    let mut state = TrustState::default();
    for (n, body) in (1..).zip(every_body()) {
        let event = event(n, body);
        let bytes = event.to_bytes().expect("canonical");
        let again = Event::from_bytes(&bytes).expect("read back");
        assert_eq!(again, event);
        assert_eq!(again.to_bytes().expect("canonical"), bytes);
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(json["type"], event.body.event_type());
        assert_eq!(json["details"], event.body.details());
        assert!(event.body.details().is_object(), "{}", event.body.event_type());
        let in_json = |field: &str| json["details"][field].as_str().map(ToOwned::to_owned);
        assert_eq!(in_json("keyId"), event.body.key_id().map(ToString::to_string));
        assert_eq!(
            in_json("anchorId"),
            event.body.anchor_id().map(|id: AnchorId| id.to_string())
        );
        types.insert(event.body.event_type());
        state.apply(&event).expect("they follow each other");
    }
    assert_eq!(types.len(), 17, "an event type is missing here");
    assert_eq!(
        (
            state.head,
            state.settings.len(),
            state.withdrawn.len(),
            state.superseded.len()
        ),
        (20, 0, 1, 1)
    );
    assert_eq!(state.keys[&key_id("k")].version, 14);
}

#[test]
fn a_number_that_doubles_cannot_hold_is_not_written() {
    let body = || EventBody::ConfigUnset { key: "k".to_owned() };
    assert!(event(1 << 53, body()).to_bytes().is_ok());
    assert!(event((1 << 53) + 1, body()).to_bytes().is_err());
    assert!(Event::from_bytes(br#"{"type":"KEY_RENAMED","details":{}}"#).is_err());
}

#[test]
fn a_log_that_breaks_its_own_rules_is_noticed() {
    let (a, k) = (anchor_id(1), key_id("k"));
    let enter = EventBody::KeyImported(entered("k", 0, None, None));
    let create = EventBody::AnchorCreated {
        anchor_id: a,
        purl_pattern: "*".parse().expect("a pattern"),
        policy: AnchorPolicy::default(),
    };
    let add = |anchor: AnchorId, key: &str| EventBody::KeyAdded {
        anchor_id: anchor,
        key_id: key_id(key),
        added_at: at(START),
        expires_at: None,
    };
    let revoke = |anchor: Option<AnchorId>, key: &str| EventBody::KeyRevoked {
        anchor_id: anchor,
        key_id: key_id(key),
        reason: RevokeReason::Superseded,
        effective_at: at(START),
        compromised_since: None,
        note: None,
    };
    let sound = [enter.clone(), create.clone(), add(a, "k")];
    let then = |body: EventBody| {
        let events: Vec<_> = (1..)
            .zip(sound.iter().cloned().chain([body]))
            .map(|(n, b)| event(n, b))
            .collect();
        TrustState::fold(&events).map(|s| s.head)
    };
    assert_eq!(then(revoke(Some(a), "k")), Ok(4));
    for twice in [
        enter.clone(),
        EventBody::KeyImported(entered("other", 0, None, None)),
        EventBody::KeyImported(entered("k", 1, None, None)),
        create,
        add(a, "k"),
    ] {
        assert_eq!(then(twice), Err(Corrupt::Twice(4)));
    }
    for body in [
        add(a, "x"),
        revoke(Some(a), "x"),
        revoke(None, "x"),
        EventBody::KeyActivated { key_id: key_id("x") },
        EventBody::KeyRetired { key_id: k },
    ] {
        assert_eq!(then(body), Err(Corrupt::NoSuchKey(4)));
    }
    for body in [
        add(anchor_id(2), "k"),
        revoke(Some(anchor_id(2)), "k"),
        EventBody::AnchorDisabled {
            anchor_id: anchor_id(2),
            note: None,
        },
    ] {
        assert_eq!(then(body), Err(Corrupt::NoSuchAnchor(4)));
    }
    let unset = || EventBody::ConfigUnset { key: "k".to_owned() };
    for (first, second) in [(1, 3), (1, 1), (2, 3), (0, 1)] {
        let events = [event(first, unset()), event(second, unset())];
        let (head, found) = if first == 1 { (1, second) } else { (0, first) };
        assert_eq!(TrustState::fold(&events), Err(Corrupt::Gap { head, found }));
    }
    let mut state = TrustState::default();
    assert_eq!(
        state.preview(&[unset(), add(a, "k")], at(START)),
        Err(Corrupt::NoSuchAnchor(2))
    );
}

#[test]
fn withdrawing_again_keeps_the_first_word() {
    let withdraw = |reason| EventBody::AttestationWithdrawn {
        pae: sha("a"),
        reason,
        note: None,
    };
    let events = [
        event(1, withdraw(RevokeReason::PolicyViolation)),
        event(2, withdraw(RevokeReason::Unspecified)),
    ];
    let state = TrustState::fold(&events).expect("a log");
    assert_eq!(state.withdrawn[&sha("a")].reason, RevokeReason::PolicyViolation);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is wished for and granted, in whatever order: ends never move
    /// later, a compromise is never taken back, and nothing granted breaks
    /// the log.
    #[test]
    fn granted_wishes_only_tighten(wishes in proptest::collection::vec((0u8..3, 0i64..20, proptest::option::of(0i64..20)), 1..8)) {
        let day = |n: i64| Timestamp::from_secs(at(START).as_micros() / 1_000_000 + n * 86_400);
        let mut op = before_rotation();
        op.generate("key-2025", 1, "default");
        op.add_key(Scope::All, "key-2025").expect("added");
        let (mut lowest, mut compromised, mut start_known) = (Timestamp::MAX, false, false);
        for (kind, effective, since) in wishes {
            let stolen = kind > 0;
            let r = Revocation {
                reason: if stolen { RevokeReason::Compromise } else { RevokeReason::Superseded },
                effective_at: day(effective),
                compromised_since: since.filter(|_| stolen).map(day),
                note: None,
            };
            let scope = if kind == 1 { Scope::All } else { one(1) };
            if op.revoke(scope, "key-2024", &r).is_err() {
                continue;
            }
            let held = op.state().anchors[&anchor_id(1)].key(&key_id("key-2024")).expect("held").clone();
            let end = held.end.expect("granted");
            prop_assert!(end.reason.is_compromise() || !compromised);
            prop_assert!(end.compromised_since.is_some() || !start_known);
            compromised = end.reason.is_compromise();
            start_known = end.compromised_since.is_some();
            prop_assert_eq!(end_of(&op, 1).is_none(), compromised && !start_known);
            if let Some(is) = end_of(&op, 1) {
                prop_assert!(is <= lowest);
                lowest = is;
            }
        }
        prop_assert_eq!(TrustState::fold(&op.log.events).expect("a log"), op.log.state);
    }
}
