//! Each boundary to the microsecond: intervals are half-open.

use std::time::Duration;

use stella_core::evidence::{Bound, Ledger, TimeClass, TimeEvidence};
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::{EventBody, RevokeReason};
use stella_core::verify::time::{Accepting, InFuture, bounds};
use stella_core::verify::{Budget, Code, Moment, SignatureCase};

use crate::support::{
    Bench, History, PURL, anchor_id, at, entered, key_id, open, payload, signature, subject_name,
};

pub(crate) const END: &str = "2025-02-01T00:00:00Z";
pub(crate) const ADDED: &str = "2024-06-01T00:00:00Z";
pub(crate) const NOW: &str = "2025-06-01T00:00:00Z";

fn around(moment: &str) -> [Timestamp; 3] {
    let micro = Duration::from_micros(1);
    [
        at(moment).saturating_sub(micro),
        at(moment),
        at(moment).saturating_add(micro),
    ]
}

pub(crate) fn rotated(expires: Option<&str>, revoked: Option<&str>) -> Bench {
    Bench::new(log(expires, revoked).state)
}

pub(crate) fn log(expires: Option<&str>, revoked: Option<&str>) -> History {
    let mut log = History::default();
    log.record(
        at(ADDED),
        [
            EventBody::KeyImported(entered("k", 0, Some(at("2024-05-01T00:00:00Z")), Some("mine"))),
            EventBody::AnchorCreated {
                anchor_id: anchor_id(1),
                purl_pattern: "pkg:npm/*".parse().expect("a pattern"),
                policy: AnchorPolicy::default(),
            },
            EventBody::KeyAdded {
                anchor_id: anchor_id(1),
                key_id: key_id("k"),
                added_at: at(ADDED),
                expires_at: expires.map(at),
            },
        ],
    );
    if let Some(effective) = revoked {
        log.record(
            at("2025-03-01T00:00:00Z"),
            [EventBody::KeyRevoked {
                anchor_id: Some(anchor_id(1)),
                key_id: key_id("k"),
                reason: RevokeReason::AnnualRotation,
                effective_at: at(effective),
                compromised_since: None,
                note: None,
            }],
        );
    }
    log
}

pub(crate) fn judged(bench: &Bench, moment: Moment, tell: impl FnOnce(&mut SignatureCase)) -> Code {
    let payload = payload(Some(PURL), "https://slsa.dev/provenance/v1");
    let mut case = signature(0, &payload);
    tell(&mut case);
    let mut verifier = bench.at(moment.now);
    verifier.moment = moment;
    open(&payload, vec![case])
        .judge(verifier, &subject_name(PURL), &mut Budget::new(10))
        .code
}

pub(crate) fn recorded(when: Timestamp) -> TimeEvidence {
    TimeEvidence {
        class: TimeClass::Recorded,
        authority: String::new(),
        bound: Bound::ExistedBy(when),
        accuracy: None,
        recorded_at: when,
    }
}

pub(crate) fn attested(bound: Bound, accuracy: Option<Duration>) -> TimeEvidence {
    TimeEvidence {
        class: TimeClass::Attested,
        authority: "tsa-1".to_owned(),
        bound,
        accuracy,
        recorded_at: at(ADDED),
    }
}

#[test]
fn an_upper_bound_must_lie_before_the_end() {
    for (bench, _) in [
        (rotated(None, Some(END)), Code::KeyRevoked),
        (rotated(Some(END), None), Code::KeyExpired),
    ] {
        let codes = around(END)
            .map(|when| judged(&bench, Moment::at(at(NOW)), |c| c.evidence = vec![recorded(when)]));
        assert_eq!(codes, [Code::Ok, Code::TimeNotProven, Code::TimeNotProven]);
    }
}

#[test]
fn a_lower_bound_at_the_end_is_past_it() {
    for (bench, past) in [
        (rotated(None, Some(END)), Code::KeyRevoked),
        (rotated(Some(END), None), Code::KeyExpired),
        (rotated(Some(END), Some(END)), Code::KeyRevoked),
    ] {
        let by_ledger = around(END).map(|when| {
            judged(&bench, Moment::at(at(NOW)), |c| {
                c.ledger = Ledger::Signed { at: when }
            })
        });
        assert_eq!(by_ledger, [Code::TimeNotProven, past, past]);
        let by_witness = around(END).map(|when| {
            judged(&bench, Moment::at(at(NOW)), |c| {
                c.evidence = vec![attested(Bound::MadeAfter(when), Some(Duration::ZERO))];
            })
        });
        assert_eq!(by_witness, [Code::TimeNotProven, past, past]);
    }
}

#[test]
fn a_key_is_current_from_its_addition_until_before_its_end() {
    let bench = rotated(None, Some(END));
    let held = &bench.trust.anchors[&anchor_id(1)].keys[0];
    assert_eq!(around(ADDED).map(|now| held.is_current(now)), [false, true, true]);
    assert_eq!(around(END).map(|now| held.is_current(now)), [true, false, false]);
}

/// A compromise without its start takes nothing back of what had ended.
#[test]
fn what_was_signed_after_the_end_stays_refused_when_the_key_turns_out_stolen() {
    let stolen = |mut bench: Bench| {
        let compromise = EventBody::KeyRevoked {
            anchor_id: Some(anchor_id(1)),
            key_id: key_id("k"),
            reason: RevokeReason::Compromise,
            effective_at: at("2025-05-01T00:00:00Z"),
            compromised_since: None,
            note: None,
        };
        bench
            .trust
            .preview(&[compromise], at("2025-05-01T00:00:00Z"))
            .expect("follows");
        bench
    };
    for (bench, past) in [
        (rotated(None, Some(END)), Code::KeyCompromised),
        (rotated(Some(END), None), Code::KeyExpired),
    ] {
        let bench = stolen(bench);
        let made = |moment: Moment| {
            around(END).map(|when| judged(&bench, moment, |c| c.ledger = Ledger::Signed { at: when }))
        };
        assert_eq!(made(Moment::at(at(NOW))), [Code::KeyWindowUnknown, past, past]);
        let asked = around(END).map(|when| {
            let moment = Moment::asserting(at(NOW), when).expect("not in the future");
            judged(&bench, moment, |_| ())
        });
        assert_eq!(asked, [Code::KeyWindowUnknown, past, past]);
    }
}

/// Made after a moment that has not come yet: nobody can know that.
#[test]
fn a_lower_bound_in_the_future_is_no_evidence() {
    let bench = rotated(None, Some(END));
    let codes = around(END).map(|when| {
        judged(&bench, Moment::at(at(END)), |c| {
            c.evidence = vec![attested(Bound::MadeAfter(when), Some(Duration::ZERO))];
        })
    });
    assert_eq!(
        codes,
        [Code::TimeNotProven, Code::KeyRevoked, Code::TimeNotProven]
    );
}

#[test]
fn the_verifiers_own_present_is_an_upper_bound() {
    let bench = rotated(None, Some(END));
    let codes = around(END).map(|now| judged(&bench, Moment::at(now), |_| ()));
    assert_eq!(codes, [Code::Ok, Code::TimeNotProven, Code::TimeNotProven]);
}

#[test]
fn an_asserted_time_lies_from_the_addition_until_before_the_end() {
    let bench = rotated(None, Some(END));
    let asked = |when: Timestamp| {
        let moment = Moment::asserting(at(NOW), when).expect("not in the future");
        judged(&bench, moment, |c| {
            c.evidence = vec![recorded(at(ADDED).saturating_sub(Duration::from_secs(9)))]
        })
    };
    assert_eq!(
        around(ADDED).map(asked),
        [Code::KeyNotYetAdded, Code::Ok, Code::Ok]
    );
    assert_eq!(
        around(END).map(asked),
        [Code::Ok, Code::KeyRevoked, Code::KeyRevoked]
    );
}

#[test]
fn an_asserted_time_needs_proof_that_is_not_later() {
    let (bench, asserted) = (rotated(None, None), "2024-09-01T00:00:00Z");
    let moment = Moment::asserting(at(NOW), at(asserted)).expect("not in the future");
    let codes = around(asserted).map(|when| judged(&bench, moment, |c| c.evidence = vec![recorded(when)]));
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::TimeNotProvenBy]);
    assert_eq!(judged(&bench, moment, |_| ()), Code::TimeNotProvenBy);
    let [_, now, later] = around(NOW);
    assert!(Moment::asserting(now, now).is_ok());
    assert_eq!(
        Moment::asserting(now, later),
        Err(InFuture { now, at_time: later })
    );
}

/// The stated time plus its accuracy, and a second where none is stated; the
/// other way round for a lower bound.
#[test]
fn accuracy_widens_what_is_stated() {
    let bench = rotated(None, Some(END));
    let second = Duration::from_secs(1);
    let by = |when: Timestamp, accuracy| {
        judged(&bench, Moment::at(at(NOW)), |c| {
            c.evidence = vec![attested(Bound::ExistedBy(when), accuracy)]
        })
    };
    let [before, end, after] = around(END);
    for accuracy in [None, Some(second)] {
        assert_eq!(by(before.saturating_sub(second), accuracy), Code::Ok);
        assert_eq!(by(end.saturating_sub(second), accuracy), Code::TimeNotProven);
    }
    assert_eq!(by(before, Some(Duration::ZERO)), Code::Ok);
    let from = |when: Timestamp, accuracy| {
        judged(&bench, Moment::at(at(NOW)), |c| {
            c.evidence = vec![attested(Bound::MadeAfter(when), accuracy)]
        })
    };
    for accuracy in [None, Some(second)] {
        assert_eq!(from(before.saturating_add(second), accuracy), Code::TimeNotProven);
        assert_eq!(from(end.saturating_add(second), accuracy), Code::KeyRevoked);
    }
    assert_eq!(from(after, Some(Duration::ZERO)), Code::KeyRevoked);
}

#[test]
fn an_authority_is_believed_within_its_window() {
    let mut bench = rotated(None, Some(END));
    let (from, until) = ("2024-08-01T00:00:00Z", "2024-10-01T00:00:00Z");
    if let Some(a) = bench.authorities.get_mut("tsa-1") {
        (a.valid_from, a.valid_until) = (at(from), Some(at(until)));
    }
    let by = |when: Timestamp| {
        judged(&bench, Moment::at(at(NOW)), |c| {
            c.evidence = vec![attested(Bound::ExistedBy(when), None)]
        })
    };
    assert_eq!(around(from).map(by), [Code::TimeNotProven, Code::Ok, Code::Ok]);
    assert_eq!(
        around(until).map(by),
        [Code::Ok, Code::TimeNotProven, Code::TimeNotProven]
    );
}

/// A clock may run ahead of ours by its own accuracy, and what it then says is
/// that the signature exists now.
#[test]
fn a_witness_may_be_ahead_of_us_by_its_accuracy_and_no_more() {
    let mut bench = rotated(None, None);
    if let Some(anchor) = bench.trust.anchors.get_mut(&anchor_id(1)) {
        anchor.policy.require_evidence = Some(TimeClass::Attested);
    }
    let ahead = |moment: Moment| {
        around("2025-06-01T00:00:01Z").map(|when| {
            judged(&bench, moment, |c| {
                c.evidence = vec![attested(Bound::ExistedBy(when), None)];
            })
        })
    };
    let now = at(NOW);
    assert_eq!(
        ahead(Moment::at(now)),
        [Code::Ok, Code::Ok, Code::EvidenceRequired]
    );
    let asserted = Moment::asserting(now, now).expect("not in the future");
    assert_eq!(ahead(asserted), [Code::Ok, Code::Ok, Code::EvidenceRequired]);
}

#[test]
fn a_moment_before_the_key_existed_is_no_evidence_about_it() {
    let bench = rotated(None, Some(END));
    let created = "2024-05-01T00:00:00Z";
    let codes = around(created)
        .map(|when| judged(&bench, Moment::at(at(NOW)), |c| c.evidence = vec![recorded(when)]));
    assert_eq!(codes, [Code::TimeNotProven, Code::Ok, Code::Ok]);
}

/// Whatever says it, a clock that was never set says nothing, and nobody has
/// seen the future.
#[test]
fn times_that_cannot_be_are_no_evidence() {
    let mut bench = rotated(None, Some(END));
    bench
        .trust
        .keys
        .get_mut(&key_id("k"))
        .expect("the key")
        .created_at = None;
    let held = |c: &mut SignatureCase, bound| {
        c.evidence = vec![
            TimeEvidence {
                recorded_at: at(ADDED),
                bound,
                ..recorded(at(ADDED))
            },
            TimeEvidence {
                recorded_at: at(ADDED),
                ..attested(bound, Some(Duration::ZERO))
            },
        ];
    };
    let [_, _, later] = around(NOW);
    for unset in [Timestamp::MIN, Timestamp::from_micros(0), later] {
        let code = judged(&bench, Moment::at(at(NOW)), |c| held(c, Bound::ExistedBy(unset)));
        assert_eq!(code, Code::TimeNotProven, "{unset}");
    }
    let code = judged(&bench, Moment::at(at(NOW)), |c| {
        held(c, Bound::ExistedBy(at(ADDED)))
    });
    assert_eq!(code, Code::Ok);
    let accepting = Accepting {
        floor: TimeClass::Recorded,
        operators: 1,
        authorities: &bench.authorities,
        own_operator: "self",
        not_before: None,
    };
    let made_after = |when| bounds(&[], Ledger::Signed { at: when }, at(NOW), accepting).made_after;
    assert_eq!(made_after(Timestamp::from_micros(0)), None);
    assert_eq!(made_after(at(ADDED)), Some(at(ADDED)));
}

/// Either class does where the anchor asks for what this server noted; its own
/// word does not do where it asks for a witness.
#[test]
fn the_class_that_an_anchor_requires_must_be_there() {
    let codes = |required: TimeClass, evidence: Vec<TimeEvidence>| {
        let mut bench = rotated(None, None);
        let anchor = bench.trust.anchors.get_mut(&anchor_id(1)).expect("the anchor");
        anchor.policy.require_evidence = Some(required);
        judged(&bench, Moment::at(at(NOW)), |c| c.evidence = evidence)
    };
    let noted = || vec![recorded(at(END))];
    let witnessed = || vec![attested(Bound::ExistedBy(at(END)), None)];
    assert_eq!(codes(TimeClass::Recorded, noted()), Code::Ok);
    assert_eq!(codes(TimeClass::Recorded, witnessed()), Code::Ok);
    assert_eq!(codes(TimeClass::Recorded, vec![]), Code::EvidenceRequired);
    assert_eq!(codes(TimeClass::Attested, noted()), Code::EvidenceRequired);
    assert_eq!(codes(TimeClass::Attested, witnessed()), Code::Ok);
}

/// The thief of a key may have had the server's clock as well, unless its
/// owner says that the server keeps its own.
#[test]
fn the_servers_own_record_of_a_stolen_key_counts_only_where_that_is_set() {
    let mut log = log(None, None);
    log.record(
        at("2025-03-01T00:00:00Z"),
        [EventBody::KeyRevoked {
            anchor_id: Some(anchor_id(1)),
            key_id: key_id("k"),
            reason: RevokeReason::Compromise,
            effective_at: at("2025-03-01T00:00:00Z"),
            compromised_since: Some(at(END)),
            note: None,
        }],
    );
    let mut bench = Bench::new(log.state);
    let before = || recorded(at("2025-01-01T00:00:00Z"));
    let noted = |bench: &Bench| judged(bench, Moment::at(at(NOW)), |c| c.evidence = vec![before()]);
    assert_eq!(noted(&bench), Code::TimeNotProven);
    let witnessed = judged(&bench, Moment::at(at(NOW)), |c| {
        c.evidence = vec![attested(Bound::ExistedBy(at("2025-01-01T00:00:00Z")), None)];
    });
    assert_eq!(witnessed, Code::Ok);
    bench.policy.recorded_for_compromise = true;
    assert_eq!(noted(&bench), Code::Ok);
}

/// Looking back, nothing counts that came to hand later.
#[test]
fn evidence_and_ledger_entries_count_from_when_they_were_held() {
    let bench = rotated(None, Some(END));
    let held = "2025-04-01T00:00:00Z";
    let codes = around(held).map(|now| {
        judged(&bench, Moment::at(now), |c| {
            c.evidence = vec![TimeEvidence {
                recorded_at: at(held),
                ..recorded(at("2024-09-01T00:00:00Z"))
            }];
        })
    });
    assert_eq!(codes, [Code::TimeNotProven, Code::Ok, Code::Ok]);
    let codes = around(held).map(|now| {
        judged(&bench, Moment::at(now), |c| {
            c.ledger = Ledger::Signed { at: at(held) }
        })
    });
    assert_eq!(codes, [Code::TimeNotProven, Code::KeyRevoked, Code::KeyRevoked]);
}
