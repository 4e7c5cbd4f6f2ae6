//! What is refused, with the command that helps, and what is no event.

use super::*;

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
    let ours = new_own("ours", 6, "fips", op.now.saturating_add(Duration::from_micros(1)));
    let refusal = key::enter_own(op.state(), ours, op.now).expect_err("future");
    assert_eq!(refusal.code, "key.created-in-future");
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
    let alone = NewOwnKey {
        not_after: Some(op.now),
        ..new_own("alone", 3, "fips", op.now)
    };
    let events = key::enter_own(op.state(), alone, op.now).expect("entered");
    assert_eq!(
        op.record(events),
        1,
        "nor does it become active by being the first"
    );
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
