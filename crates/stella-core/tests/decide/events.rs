//! The events themselves: their bytes, and the rules of their log.

use super::*;

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
            note: Some("CVE-2025-1".to_owned()),
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
        EventBody::KeyStoreAdded {
            key_id: key_id.clone(),
            store: "hsm://pkcs11/token/b?object=k".to_owned(),
        },
        EventBody::KeyStoreRemoved {
            key_id: key_id.clone(),
            store: "hsm://pkcs11/token/b?object=k".to_owned(),
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
        EventBody::BackupCreated {
            recipients: vec!["age1x".to_owned()],
        },
    ]
}

pub(crate) fn event(sequence: u64, body: EventBody) -> Event {
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
    assert_eq!(types.len(), 20, "an event type is missing here");
    assert_eq!(
        (
            state.head,
            state.settings.len(),
            state.withdrawn.size(),
            state.superseded.size()
        ),
        (23, 0, 1, 1)
    );
    assert_eq!(state.keys[&key_id("k")].version, 16);
}

#[test]
fn a_number_that_doubles_cannot_hold_is_not_written() {
    let body = || EventBody::ConfigUnset { key: "k".to_owned() };
    assert!(event(1 << 53, body()).to_bytes().is_ok());
    assert!(event((1 << 53) + 1, body()).to_bytes().is_err());
    assert!(Event::from_bytes(br#"{"type":"KEY_RENAMED","details":{}}"#).is_err());
}

/// A restriction that this build does not know must not be read as none.
#[test]
fn an_event_that_says_more_or_says_it_twice_is_not_read() {
    for (n, body) in (1..).zip(every_body()) {
        let bytes = event(n, body).to_bytes().expect("canonical");
        let text = String::from_utf8(bytes).expect("text");
        for changed in [
            text.replace(r#""details":{"#, r#""details":{"unheard":1,"#),
            text.replace(r#""policy":{"#, r#""policy":{"unheard":1,"#),
            text.replace(r#""custody":{"#, r#""custody":{"unheard":1,"#),
            text.replace(r#","sequence":"#, r#","sequence":1,"sequence":"#),
            text.replace(r#","sequence":"#, r#","details":{},"sequence":"#),
            text.replace(r#""type":"#, r#""type":"CONFIG_UNSET","type":"#),
        ] {
            let read = Event::from_bytes(changed.as_bytes());
            assert!(changed == text || read.is_err(), "{changed}");
        }
    }
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
    let mut state = TrustState::fold(
        (1..)
            .zip(sound.clone())
            .map(|(n, b)| event(n, b))
            .collect::<Vec<_>>()
            .iter(),
    )
    .expect("a log");
    let before = state.clone();
    for (n, wrong) in [(4, sound[1].clone()), (4, add(a, "k")), (9, revoke(None, "k"))] {
        assert!(state.apply(&event(n, wrong)).is_err());
        assert_eq!(state, before, "what is refused leaves no trace");
    }
    let mut earlier = event(4, revoke(None, "k"));
    earlier.recorded_at = at("2025-02-01T00:00:00.499999Z");
    assert_eq!(state.apply(&earlier), Err(Corrupt::BackInTime(4)));
    assert_eq!(state, before);
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

/// Deciding refuses to loosen; a log that says it all the same changes nothing.
#[test]
fn the_fold_itself_takes_no_revocation_back() {
    let day = |n: u32| at(&format!("2025-01-{n:02}T00:00:00Z"));
    let say = |reason, effective, since: Option<u32>| EventBody::KeyRevoked {
        anchor_id: None,
        key_id: key_id("k"),
        reason,
        effective_at: day(effective),
        compromised_since: since.map(day),
        note: None,
    };
    let (stolen, rotated) = (RevokeReason::Compromise, RevokeReason::AnnualRotation);
    let end = |said: &[EventBody]| {
        let enter = EventBody::KeyImported(entered("k", 0, None, None));
        let events: Vec<_> = (1..)
            .zip([enter].into_iter().chain(said.iter().cloned()))
            .map(|(n, body)| event(n, body))
            .collect();
        let state = TrustState::fold(&events).expect("a log");
        let end = state.keys[&key_id("k")].end.clone().expect("ended");
        (end.reason, end.effective_at, end.compromised_since)
    };
    let early = say(stolen, 20, Some(5));
    for later in [
        say(stolen, 25, Some(9)),
        say(stolen, 25, None),
        say(rotated, 28, None),
    ] {
        assert_eq!(end(&[early.clone(), later]), (stolen, day(20), Some(day(5))));
    }
    let earlier = [early.clone(), say(stolen, 25, Some(3))];
    assert_eq!(end(&earlier), (stolen, day(20), Some(day(3))));
    assert_eq!(
        end(&[say(rotated, 4, None), early]),
        (stolen, day(4), Some(day(5)))
    );
    let worded = [say(rotated, 9, None), say(RevokeReason::PolicyViolation, 8, None)];
    assert_eq!(end(&worded), (RevokeReason::PolicyViolation, day(8), None));
}

/// Looking back, the log is read as far as it was written then, in pieces.
#[test]
fn the_state_of_a_moment_knows_nothing_that_was_recorded_later() {
    let mut op = before_rotation();
    op.generate("key-2025", 1, "default");
    let events = op.log.events.clone();
    let early = events.iter().filter(|e| e.recorded_at == at(START)).count();
    assert!(early > 0 && early < events.len());
    let micro = Duration::from_micros(1);
    let rotation = at(ROTATION);
    for (moment, known, more) in [
        (at(START).saturating_sub(micro), 0, false),
        (at(START), early, false),
        (rotation.saturating_sub(micro), early, false),
        (rotation, events.len(), true),
        (rotation.saturating_add(micro), events.len(), true),
    ] {
        let mut state = TrustState::default();
        assert_eq!(state.catch_up(&events, moment), Ok(more), "{moment}");
        assert_eq!(state, TrustState::fold(&events[..known]).expect("a log"));
    }
    let mut pieces = TrustState::default();
    for piece in events.chunks(2) {
        assert_eq!(pieces.catch_up(piece, rotation), Ok(true));
    }
    assert_eq!(pieces, *op.state());
}

/// Keys and anchors that were carried elsewhere are the state they came from,
/// and the log goes on after it.
#[test]
fn a_state_put_together_again_is_the_one_it_was() {
    let op = before_rotation();
    let state = op.state();
    let again = TrustState::assemble(
        state.head,
        at(START),
        state.keys.values().cloned().collect(),
        state.anchors.values().cloned().collect(),
    );
    assert_eq!(again.as_ref(), Ok(state));
    let mut again = again.expect("the same");
    let mut next = event(state.head + 1, EventBody::ConfigUnset { key: "a".to_owned() });
    next.recorded_at = at(START).saturating_sub(Duration::from_micros(1));
    assert_eq!(again.apply(&next), Err(Corrupt::BackInTime(next.sequence)));
    next.recorded_at = at(START);
    assert_eq!(again.apply(&next), Ok(()));
}

#[test]
fn of_the_anchors_that_match_the_one_that_decides_comes_first() {
    let mut op = Operator::new();
    for (n, pattern) in [
        (1, "*"),
        (2, "pkg:npm/left-pad"),
        (3, "pkg:npm/*"),
        (4, "pkg:pypi/*"),
    ] {
        op.create_anchor(n, pattern, &[]);
    }
    let name = subject_name(PURL);
    let found: Vec<_> = op.state().matching(&name).iter().map(|a| a.id).collect();
    assert_eq!(found, [2, 3, 1].map(anchor_id));
    let deciding: Vec<_> = op.state().deciding(&name).iter().map(|a| a.id).collect();
    assert_eq!(deciding, [anchor_id(2)]);
}
