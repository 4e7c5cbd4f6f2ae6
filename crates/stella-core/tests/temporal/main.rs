//! Whether a signature counts, judged at random moments over random histories
//! of trust and evidence, against a naive model and against the promises:
//! no word taken away helps, no FAIL can be argued away, order is nothing.

mod boundaries;
mod exported;
mod model;
#[path = "../support/offline.rs"]
mod offline;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod world;

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use stella_core::trust::TrustState;
use stella_core::verify::{Budget, Code, Verdict};

use world::{Act, Draw, Hint, Log, Said, World, t};

/// Runs over random worlds. The signature checks of one run are shared: they
/// are the same few, and cost more than all the rest.
fn worlds(cases: u32, check: impl Fn(World, &mut Draw<'_>, &mut Budget) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let budget = RefCell::new(Budget::new(1000));
    TestRunner::new(config)
        .run(&vec(any::<u8>(), 40..180), |bytes| {
            let mut draw = Draw(bytes.iter());
            let world = draw.world();
            check(world, &mut draw, &mut budget.borrow_mut())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_engine_answers_as_the_naive_model_does() {
    let seen = RefCell::new(std::collections::BTreeMap::<Code, u32>::new());
    worlds(20_000, |world, _, budget| {
        let judged = world.judge(budget);
        prop_assert_eq!(judged.verdict, model::verdict(&world), "{:?}", judged.trace);
        if let Some(code) = model::code(&world) {
            prop_assert_eq!(judged.code, code, "{:?}", judged.trace);
        }
        *seen.borrow_mut().entry(judged.code).or_default() += 1;
        Ok(())
    });
    // A generator that never reached a code would prove nothing about it.
    for code in [
        Code::Ok,
        Code::AnchorDisabled,
        Code::PredicateNotAllowed,
        Code::SignatureInvalid,
        Code::KeyNotAllowed,
        Code::KeyRevoked,
        Code::KeyExpired,
        Code::KeyCompromised,
        Code::KeyNotYetAdded,
        Code::KeyWindowUnknown,
        Code::TimeNotProven,
        Code::TimeNotProvenBy,
        Code::EvidenceRequired,
        Code::ThresholdNotMet,
        Code::ThresholdOpen,
        Code::LedgerUnknown,
        Code::LedgerNotConsulted,
        Code::AttestationWithdrawn,
    ] {
        let times = seen.borrow().get(&code).copied().unwrap_or(0);
        assert!(times >= 10, "{code} was reached {times} times: {seen:?}");
    }
}

#[test]
fn taking_evidence_away_never_turns_an_answer_into_pass() {
    worlds(3_000, |world, _, budget| {
        if world.judge(budget).verdict == Verdict::Pass {
            return Ok(());
        }
        for n in 0..world.signatures.len() {
            for e in 0..world.signatures[n].evidence.len() {
                let mut less = world.clone();
                let gone = less.signatures[n].evidence.remove(e);
                prop_assert_ne!(less.judge(budget).verdict, Verdict::Pass, "without {:?}", gone);
            }
            for ledger in [Log::Unknown, Log::NotConsulted] {
                let mut less = world.clone();
                less.signatures[n].ledger = ledger;
                prop_assert_ne!(less.judge(budget).verdict, Verdict::Pass, "ledger {:?}", ledger);
            }
            let mut less = world.clone();
            less.signatures.remove(n);
            prop_assert_ne!(
                less.judge(budget).verdict,
                Verdict::Pass,
                "without signature {}",
                n
            );
        }
        Ok(())
    });
}

/// Holds for every code of FAIL. Where a lower bound decided (`key.revoked`,
/// `key.expired`, `key.compromised` without an asserted time) it holds for
/// evidence that does not contradict that bound: a witness who saw a
/// signature before another one knows it was made is wrong, or the other is.
#[test]
fn no_further_evidence_of_time_turns_fail_into_pass() {
    let tried = RefCell::new(0);
    worlds(8_000, |world, draw, budget| {
        let before = world.judge(budget);
        if before.verdict != Verdict::Fail {
            return Ok(());
        }
        let mut more = world.clone();
        for _ in 0..6 {
            let proof = draw.proof();
            let n = draw.below(more.signatures.len());
            let by = proof.stated.map(|s| s + proof.accuracy.unwrap_or(1));
            let contradicts = model::made_after(&more, &more.signatures[n])
                .is_some_and(|made| by.is_some_and(|by| by < made) || proof.stated.is_some_and(|s| s < made));
            if !contradicts {
                more.signatures[n].evidence.push(proof);
            }
        }
        *tried.borrow_mut() += 1;
        let after = more.judge(budget);
        prop_assert_ne!(after.verdict, Verdict::Pass, "was {}", before.code);
        Ok(())
    });
    assert!(tried.into_inner() > 1_000);
}

/// Unless a signature names the added key as its maker and it is not: such a
/// hint was never honoured before that key was known.
#[test]
fn adding_an_old_public_key_never_breaks_what_passed() {
    let mended = RefCell::new(0);
    worlds(4_000, |world, draw, budget| {
        let Some(key) = model::absent_key(&world, 0, draw.below(5)) else {
            return Ok(());
        };
        let before = world.judge(budget).verdict;
        let mut more = world.clone();
        let recorded = world.said.iter().map(|s| s.recorded).max().unwrap_or(0);
        let act = Act::Add {
            anchor: 0,
            key,
            added: recorded,
            expires: None,
        };
        more.said.push(Said { recorded, act });
        let after = more.judge(budget).verdict;
        prop_assert!(before != Verdict::Pass || after == Verdict::Pass);
        if before == Verdict::Fail && after == Verdict::Pass {
            *mended.borrow_mut() += 1;
        }
        Ok(())
    });
    assert!(mended.into_inner() > 20, "an old key mends old signatures");
}

#[test]
fn the_order_of_signatures_and_of_evidence_is_nothing() {
    worlds(4_000, |world, draw, budget| {
        let before = world.judge(budget);
        let mut other = world.clone();
        let turn = draw.below(other.signatures.len());
        other.signatures.rotate_left(turn);
        for sig in &mut other.signatures {
            sig.evidence.reverse();
        }
        let after = other.judge(budget);
        prop_assert_eq!((before.verdict, before.code), (after.verdict, after.code));
        other.signatures.reverse();
        let after = other.judge(budget);
        prop_assert_eq!((before.verdict, before.code), (after.verdict, after.code));
        Ok(())
    });
}

#[test]
fn a_second_signature_by_the_same_key_counts_for_nothing() {
    worlds(4_000, |world, draw, budget| {
        let before = world.judge(budget).verdict;
        let mut twice = world.clone();
        let mut again = world.signatures[draw.below(world.signatures.len())].clone();
        if let (Hint::Absent, Some(maker)) = (again.hint, again.maker) {
            again.hint = Hint::Key(maker);
        }
        twice.signatures.push(again);
        prop_assert_eq!(twice.judge(budget).verdict, before);
        Ok(())
    });
}

/// Folding what was recorded by K is to have asked at K.
#[test]
fn as_of_answers_what_would_have_been_answered_then() {
    let differs = RefCell::new(0);
    worlds(4_000, |world, draw, budget| {
        let latest = world.judge(budget).verdict;
        let moment = i64::try_from(draw.below(26)).expect("small");
        let mut back = world.clone();
        back.asker.now = moment;
        back.asker.at_time = world.asker.at_time.filter(|asked| *asked <= moment);
        let mut trust = TrustState::default();
        trust.catch_up(&back.events(), t(moment)).expect("a prefix");
        let answer = back.judge_with(&trust, budget);

        let mut then = back.clone();
        then.said.retain(|s| s.recorded <= moment);
        for sig in &mut then.signatures {
            sig.evidence.retain(|p| p.recorded <= moment);
            if matches!(sig.ledger, Log::Signed(at) if at > moment) {
                sig.ledger = Log::NotConsulted;
            }
        }
        let answered = then.judge(budget);
        prop_assert_eq!((answer.verdict, answer.code), (answered.verdict, answered.code));
        prop_assert_eq!(answer.trace, answered.trace);
        if answer.verdict != latest {
            *differs.borrow_mut() += 1;
        }
        Ok(())
    });
    assert!(differs.into_inner() > 500, "looking back mattered");
}
