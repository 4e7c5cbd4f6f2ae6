//! Taking trust away: what is refused, and that it only ever tightens.

use super::*;

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

/// That a key was stolen is true everywhere, whichever anchor was named.
#[test]
fn a_compromise_told_in_one_anchor_holds_in_all() {
    let mut op = before_rotation();
    op.create_anchor(3, "pkg:oci/*", &[]);
    let revoked = op
        .revoke(one(2), "key-2024", &compromise(ROTATION, None))
        .expect("revoked");
    assert_eq!(revoked.anchors, [anchor_id(1), anchor_id(2)]);
    assert_eq!(revoked.emptied, [anchor_id(1), anchor_id(2)]);
    assert!(revoked.ends_signing);
    assert_eq!(op.verdict(0, "2024-06-01T00:00:00Z"), Code::KeyWindowUnknown);
    refused(
        op.revoke(one(3), "key-2024", &compromise(ROTATION, None)),
        "anchor.key-not-here",
        "stella anchor show",
    );
}

/// What one anchor knows better does not keep another from being told.
#[test]
fn an_anchor_that_knows_an_earlier_start_keeps_it() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    let start = "2024-12-01T00:00:00Z";
    let known = EventBody::KeyRevoked {
        anchor_id: Some(anchor_id(1)),
        key_id: key_id("key-2024"),
        reason: RevokeReason::Compromise,
        effective_at: at(start),
        compromised_since: Some(at(start)),
        note: None,
    };
    op.record(vec![known]);
    let revoked = op
        .revoke(one(2), "key-2024", &compromise(ROTATION, None))
        .expect("told");
    assert_eq!(revoked.anchors, [anchor_id(2)]);
    assert_eq!((end_of(&op, 1), end_of(&op, 2)), (Some(at(start)), None));
}

/// Nor does what the key as a whole knows better.
#[test]
fn a_key_that_knows_an_earlier_start_keeps_it() {
    let mut op = before_rotation();
    let start = "2024-12-01T00:00:00Z";
    let known = EventBody::KeyRevoked {
        anchor_id: None,
        key_id: key_id("key-2024"),
        reason: RevokeReason::Compromise,
        effective_at: at(start),
        compromised_since: Some(at(start)),
        note: None,
    };
    op.record(vec![known]);
    let vague = compromise(ROTATION, None);
    let everywhere = op.revoke(Scope::All, "key-2024", &vague);
    let said = everywhere.as_ref().expect_err("refused").to_string();
    assert!(said.contains("can be moved earlier but not taken back"), "{said}");
    refused(everywhere, "key.revocation-loosened", "stella keys show");
    let told = op.revoke(one(2), "key-2024", &vague).expect("told");
    assert_eq!(told.anchors, [anchor_id(1), anchor_id(2)]);
    let end = op.state().keys[&key_id("key-2024")].end.clone();
    assert_eq!(end.expect("ended").compromised_since, Some(at(start)));
}

#[test]
fn a_compromised_key_keeps_no_anchor_alive() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    op.revoke(one(1), "key-2025", &compromise(ROTATION, None))
        .expect("revoked");
    refused(
        op.revoke(one(1), "key-2024", &rotation(ROTATION)),
        "anchor.last-key",
        "add-key",
    );
}

/// In an anchor that has no key left, what ended long ago was not the last.
#[test]
fn an_end_moves_earlier_also_where_no_key_is_left() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    op.revoke(one(1), "key-2024", &rotation(ROTATION))
        .expect("revoked");
    op.revoke(one(1), "key-2025", &compromise(ROTATION, None))
        .expect("revoked");
    op.revoke(one(1), "key-2024", &rotation("2025-01-05T00:00:00Z"))
        .expect("earlier");
    assert_eq!(end_of(&op, 1), Some(at("2025-01-05T00:00:00Z")));
    let reworded = Revocation {
        reason: RevokeReason::PolicyViolation,
        ..rotation("2025-01-05T00:00:00Z")
    };
    let told = op.revoke(one(1), "key-2024", &reworded).expect("another reason");
    assert_eq!(told.events.len(), 1);
}

#[test]
fn the_key_as_a_whole_takes_no_compromise_back_either() {
    let mut op = before_rotation();
    op.generate("fips-1", 2, "fips");
    op.revoke(
        Scope::All,
        "fips-1",
        &compromise(ROTATION, Some("2025-01-02T00:00:00Z")),
    )
    .expect("held by no anchor, and told all the same");
    refused(
        op.revoke(
            Scope::All,
            "fips-1",
            &compromise(ROTATION, Some("2025-01-03T00:00:00Z")),
        ),
        "key.revocation-loosened",
        "stella keys show fips-1",
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

    // The other anchor heard of it each time, and forgets it as little.
    assert_eq!(end_of(&op, 2), Some(at("2024-11-01T00:00:00Z")));
    refused(
        op.revoke(one(2), "key-2024", &compromise("2025-03-01T00:00:00Z", None)),
        "key.revocation-loosened",
        "stella anchor show",
    );
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

/// The answer to a revocation was lost, and the command is given again.
#[test]
fn a_revocation_at_once_that_is_repeated_finds_itself_done() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    let at_once = |reason| Revocation {
        reason,
        effective_at: None,
        ..rotation(ROTATION)
    };
    let annual = at_once(RevokeReason::AnnualRotation);
    let first = op.now;
    let done = op.revoke(one(1), "key-2024", &annual).expect("revoked");
    assert_eq!((done.events.len(), done.effective_at), (1, first));

    op.now = op.now.saturating_add(Duration::from_secs(60));
    let again = op.revoke(one(1), "key-2024", &annual).expect("done already");
    assert!(again.events.is_empty() && again.anchors.is_empty());
    assert_eq!(again.effective_at, first, "since when it is revoked");
    assert_eq!(end_of(&op, 1), Some(first));

    // Where it is news it is carried out, and what stands, stands.
    let all = op
        .revoke(Scope::All, "key-2024", &annual)
        .expect("the other anchor");
    assert_eq!((all.anchors, all.effective_at), (vec![anchor_id(2)], op.now));
    assert_eq!((end_of(&op, 1), end_of(&op, 2)), (Some(first), Some(op.now)));
    let everywhere = revoke::everywhere(op.state(), &key_id("key-2024"), &annual, op.now).expect("the key");
    assert!(everywhere.ends_signing && everywhere.anchors.is_empty());
    op.record(everywhere.events);
    let again = revoke::everywhere(op.state(), &key_id("key-2024"), &annual, op.now).expect("done already");
    assert!(again.events.is_empty() && !again.ends_signing);

    // A moment in so many words is a later one, another reason another wish.
    let now = op.now;
    let explicit = Revocation {
        effective_at: Some(now),
        ..annual.clone()
    };
    for wish in [explicit, at_once(RevokeReason::Superseded)] {
        refused(
            op.revoke(one(1), "key-2024", &wish),
            "key.revocation-loosened",
            "stella anchor show",
        );
    }
}

/// A planned end is not reached yet, so that "at once" is earlier.
#[test]
fn a_planned_revocation_may_be_made_at_once() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    op.add_key(Scope::All, "key-2025").expect("added");
    op.activate("key-2025").expect("activated");
    let planned = Revocation {
        effective_at: Some(op.now.saturating_add(Duration::from_secs(86_400))),
        ..rotation(ROTATION)
    };
    op.revoke(one(1), "key-2024", &planned).expect("planned");
    let at_once = Revocation {
        effective_at: None,
        ..rotation(ROTATION)
    };
    let done = op.revoke(one(1), "key-2024", &at_once).expect("at once");
    assert_eq!((done.events.len(), end_of(&op, 1)), (1, Some(op.now)));
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
                // The last of them asks for it at once.
                effective_at: (effective < 19).then(|| day(effective)),
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

#[test]
fn a_reason_is_one_of_the_list_which_a_typing_error_shows() {
    for reason in RevokeReason::ALL {
        assert_eq!(reason.to_string().parse(), Ok(reason));
    }
    let said = "compromised"
        .parse::<RevokeReason>()
        .expect_err("no reason")
        .to_string();
    assert!(
        RevokeReason::ALL.iter().all(|r| said.contains(r.as_str())),
        "{said}"
    );
    assert!(said.starts_with("\"compromised\" is not"), "{said}");
}
