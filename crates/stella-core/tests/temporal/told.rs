//! What the trace says, word for word: who is paged reads this and nothing else.

use stella_core::evidence::{Bound, Ledger};
use stella_core::trust::{EventBody, RevokeReason};
use stella_core::verify::{Budget, Code, Moment, SignatureCase};

use crate::boundaries::{END, NOW, attested, judged, recorded, rotated};
use crate::support::{Bench, PURL, at, key_id, open, payload, signature, subject_name};

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

fn stolen() -> Bench {
    let mut log = crate::boundaries::log(None, None);
    log.record(
        at("2025-03-01T00:00:00Z"),
        [EventBody::KeyRevoked {
            anchor_id: Some(crate::support::anchor_id(1)),
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
fn a_code_is_written_as_it_is_looked_up() {
    assert_eq!(Code::KeyRevoked.to_string(), "key.revoked");
}
