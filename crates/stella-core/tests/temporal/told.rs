//! What the trace says, word for word: who is paged reads this and nothing else.

use stella_core::evidence::{Bound, Ledger, TimeClass};
use stella_core::statement::{Statement, StatementLimits, Subject};
use stella_core::trust::{EventBody, RevokeReason};
use stella_core::verify::{Budget, Code, Moment, SignatureCase};

use crate::boundaries::{END, NOW, attested, judged, recorded, rotated};
use crate::support::{
    Bench, PURL, anchor_id, at, digest, entered, key_id, open, payload, signature, subject_name,
};

/// Time, key and ledger, as they stand in the trace.
fn told(bench: &Bench, moment: Moment, tell: impl FnOnce(&mut SignatureCase)) -> Vec<String> {
    let payload = payload(Some(PURL), "https://slsa.dev/provenance/v1");
    let mut case = signature(0, &payload);
    tell(&mut case);
    let mut verifier = bench.at(moment.now);
    verifier.moment = moment;
    let judged = open(&payload, vec![case]).judge(verifier, &subject_name(PURL), &mut Budget::new(10));
    let kinds = ["time", "key", "ledger"];
    let checks = judged.trace.iter().filter(|c| kinds.contains(&c.name));
    checks.map(|c| format!("{} {}", c.name, c.detail)).collect()
}

fn now() -> Moment {
    Moment::at(at(NOW))
}

#[test]
fn a_current_key_says_since_when() {
    assert_eq!(
        told(&rotated(None, None), now(), |_| {}),
        [
            "time no time evidence that counts; held now, 2025-06-01T00:00:00Z",
            "key in this anchor since 2024-06-01T00:00:00Z",
        ]
    );
}

#[test]
fn an_older_signature_says_what_it_is_older_than() {
    let before = recorded(at("2025-01-01T00:00:00Z"));
    assert_eq!(
        told(&rotated(None, Some(END)), now(), |c| c.evidence =
            vec![before.clone()]),
        [
            "time existed by 2025-01-01T00:00:00Z (recorded)",
            "key in this anchor since 2024-06-01T00:00:00Z, until 2025-02-01T00:00:00Z (annual-rotation); \
             this signature is older",
        ]
    );
    assert_eq!(
        told(&rotated(Some(END), None), now(), |c| c.evidence = vec![before])[1],
        "key in this anchor since 2024-06-01T00:00:00Z, until 2025-02-01T00:00:00Z"
    );
}

#[test]
fn what_is_not_proven_says_what_was_proven_instead() {
    for (bench, ended) in [
        (
            rotated(None, Some(END)),
            "revoked in this anchor 2025-02-01T00:00:00Z (annual-rotation)",
        ),
        (
            rotated(Some(END), None),
            "expired in this anchor 2025-02-01T00:00:00Z",
        ),
    ] {
        assert_eq!(
            told(&bench, now(), |_| {})[1],
            format!("key {ended}; nothing proves an earlier time")
        );
        let late = recorded(at("2025-04-01T00:00:00Z"));
        assert_eq!(
            told(&bench, now(), |c| c.evidence = vec![late])[1],
            format!("key {ended}; existed by 2025-04-01T00:00:00Z only")
        );
    }
    let asked = Moment {
        at_time: Some(at("2025-03-01T00:00:00Z")),
        ..now()
    };
    assert_eq!(
        told(&rotated(None, None), asked, |_| {})[1],
        "key asked about 2025-03-01T00:00:00Z; nothing proves an earlier time"
    );
    let too_early = Moment {
        at_time: Some(at("2024-05-31T00:00:00Z")),
        ..now()
    };
    assert_eq!(
        told(&rotated(None, None), too_early, |_| {})[1],
        "key added to this anchor 2024-06-01T00:00:00Z, after the time asked about"
    );
}

#[test]
fn a_signature_after_the_end_says_how_long_after() {
    for (signed, span) in [
        ("2025-02-01T00:00:30Z", "30 s"),
        ("2025-02-01T00:01:00Z", "1 min"),
        ("2025-02-01T00:59:59Z", "59 min"),
        ("2025-02-01T01:00:00Z", "1 h"),
        ("2025-02-02T23:59:59Z", "47 h"),
        ("2025-02-03T00:00:00Z", "2 days"),
    ] {
        let lines = told(&rotated(None, Some(END)), now(), |c| {
            c.ledger = Ledger::Signed { at: at(signed) };
        });
        assert_eq!(
            lines,
            [
                format!("time no time evidence that counts; held now, {NOW}; signed here {signed} (ledger)"),
                format!("key revoked in this anchor {END} (annual-rotation), {span} before it was signed"),
                "ledger signed by this server".to_owned(),
            ]
        );
    }
    let after = attested(Bound::MadeAfter(at("2025-01-10T00:00:01Z")), None);
    assert_eq!(
        told(&rotated(None, None), now(), |c| c.evidence = vec![after])[0],
        "time no time evidence that counts; held now, 2025-06-01T00:00:00Z; made after 2025-01-10T00:00:00Z"
    );
}

/// Only of a key that signs nowhere else is a signature missing in the ledger.
#[test]
fn what_the_ledger_does_not_hold_is_told_unless_the_key_signs_elsewhere_too() {
    let unknown = |c: &mut SignatureCase| c.ledger = Ledger::Unknown;
    let mut bench = rotated(None, None);
    assert_eq!(
        told(&bench, now(), unknown)[2],
        "ledger k is ours, but this server never made this signature"
    );
    assert_eq!(judged(&bench, now(), unknown), Code::Ok, "a warning");
    bench
        .policy
        .shared_profiles
        .insert("mine".parse().expect("a profile"));
    assert_eq!(
        told(&bench, now(), unknown)[2],
        "ledger profile mine also signs elsewhere"
    );

    // Stolen, and nobody knows since when: what we did not sign, the thief did.
    for (shared, code) in [(false, Code::LedgerUnknown), (true, Code::KeyWindowUnknown)] {
        let mut bench = stolen();
        if shared {
            bench
                .policy
                .shared_profiles
                .insert("mine".parse().expect("a profile"));
        }
        assert_eq!(judged(&bench, now(), unknown), code);
        assert!(told(&bench, now(), unknown)[1].contains("compromised; nobody has stated since when"));
    }
}

/// An anchor that asks for our ledger gets no final answer without it, unless
/// there is one anyway.
#[test]
fn a_ledger_that_is_required_and_not_at_hand_leaves_the_answer_open() {
    let requiring = |mut bench: Bench| {
        let anchor = bench.trust.anchors.get_mut(&anchor_id(1)).expect("the anchor");
        anchor.policy.require_ledger = true;
        bench
    };
    let absent = |c: &mut SignatureCase| c.ledger = Ledger::NotConsulted;
    let open = requiring(rotated(None, None));
    assert_eq!(judged(&open, now(), absent), Code::LedgerNotConsulted);
    assert_eq!(
        told(&open, now(), absent)[2],
        "ledger required by this anchor, and not at hand for this question"
    );
    let ended = requiring(rotated(None, Some(END)));
    assert_eq!(judged(&ended, now(), absent), Code::TimeNotProven);
    let plain = rotated(None, None);
    assert_eq!(judged(&plain, now(), absent), Code::Ok);
    assert_eq!(told(&plain, now(), absent).len(), 2, "nobody asked");
}

fn stolen() -> Bench {
    let mut log = crate::boundaries::log(None, None);
    log.record(
        at("2025-03-01T00:00:00Z"),
        [EventBody::KeyRevoked {
            anchor_id: Some(anchor_id(1)),
            key_id: key_id("k"),
            reason: RevokeReason::Compromise,
            effective_at: at("2025-03-01T00:00:00Z"),
            compromised_since: None,
            note: None,
        }],
    );
    Bench::new(log.state)
}

#[test]
fn a_missing_class_of_evidence_is_told() {
    let mut bench = rotated(None, None);
    let anchor = bench.trust.anchors.get_mut(&anchor_id(1)).expect("the anchor");
    anchor.policy.require_evidence = Some(TimeClass::Attested);
    let noted = recorded(at("2025-01-01T00:00:00Z"));
    assert_eq!(
        told(&bench, now(), |c| c.evidence = vec![noted])[1],
        "key the class of time evidence that this anchor requires is missing"
    );
}

/// The asker names a time after the end, and nothing shows that it was made
/// only then.
#[test]
fn an_asserted_time_after_the_end_says_when_that_was() {
    let asked = Moment::asserting(at(NOW), at("2025-03-01T00:00:00Z")).expect("not in the future");
    let bench = rotated(None, Some(END));
    let ended = "key revoked in this anchor 2025-02-01T00:00:00Z (annual-rotation)";
    assert_eq!(told(&bench, asked, |_| {})[1], ended);
    let earlier = Ledger::Signed {
        at: at("2025-01-01T00:00:00Z"),
    };
    assert_eq!(told(&bench, asked, |c| c.ledger = earlier)[1], ended);
}

#[test]
fn a_statement_says_what_is_in_it_and_how_many_keys_counted() {
    let mut log = crate::boundaries::log(None, None);
    log.record(
        at("2024-07-01T00:00:00Z"),
        [
            EventBody::KeyImported(entered("other", 1, None, Some("mine"))),
            EventBody::KeyAdded {
                anchor_id: anchor_id(1),
                key_id: key_id("other"),
                added_at: at("2024-07-01T00:00:00Z"),
                expires_at: None,
            },
        ],
    );
    let whole = |bench: &Bench, payload: &[u8], keys: &[usize]| -> Vec<String> {
        let cases = keys.iter().map(|n| signature(*n, payload)).collect();
        let judged = open(payload, cases).judge(bench.at(at(NOW)), &subject_name(PURL), &mut Budget::new(10));
        let lines = judged.trace.iter().map(ToString::to_string);
        lines
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let mut bench = Bench::new(log.state);
    let one = payload(Some(PURL), "https://slsa.dev/provenance/v1");
    assert_eq!(
        whole(&bench, &one, &[0])[..3],
        [
            format!(
                "✓ envelope 1 signature over {} bytes of application/vnd.in-toto+json",
                one.len()
            ),
            "✓ statement in-toto v1, 1 subject".to_owned(),
            "✓ anchor 00000000 pkg:npm/*, policy v1.0.2".to_owned(),
        ]
    );
    let subject = |name: &str| Subject {
        name: Some(name.to_owned()),
        digest: digest(),
    };
    let subjects = [subject(PURL), subject("pkg:npm/right-pad@1.0.0")];
    let two = Statement::build(
        &subjects,
        "https://slsa.dev/provenance/v1",
        "{}",
        &StatementLimits::default(),
    )
    .expect("a statement");
    let anchor = bench.trust.anchors.get_mut(&anchor_id(1)).expect("the anchor");
    anchor.policy.threshold = 2;
    let lines = whole(&bench, &two, &[0, 1]);
    assert_eq!(
        lines[..2],
        [
            format!(
                "✓ envelope 2 signatures over {} bytes of application/vnd.in-toto+json",
                two.len()
            ),
            "✓ statement in-toto v1, 2 subjects".to_owned(),
        ]
    );
    assert_eq!(
        lines[3..],
        [
            "✓ signature signature 1 of 2",
            "✓ signature signature 2 of 2",
            "✓ threshold 2 of 2 distinct keys",
        ]
    );
    assert_eq!(
        whole(&bench, &two, &[0, 0]).last().map(String::as_str),
        Some("✗ threshold 1 of 2 distinct keys")
    );
    assert!(
        !whole(&Bench::new(crate::boundaries::log(None, None).state), &two, &[0])
            .iter()
            .any(|l| l.contains("threshold"))
    );
}

#[test]
fn a_code_is_written_as_it_is_looked_up() {
    assert_eq!(Code::KeyRevoked.to_string(), "key.revoked");
}
