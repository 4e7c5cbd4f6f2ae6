//! A verifier with an exported trust bundle answers as the instance does, as
//! far as the instance's own record is not needed, and never trusts more.

use std::cell::RefCell;

use proptest::prelude::*;
use stella_core::bundle::trust::{SignedBundle, TrustBundle, TrustRoot};
use stella_core::evidence::TimeClass;
use stella_core::trust::TrustState;
use stella_core::verify::{Budget, Judgement, Verdict};

use crate::offline::{FEED, bundle, root_content, signed_bundle, signed_root};
use crate::world::{Log, World, authorities, t};
use crate::worlds;

/// Exported, signed, carried over, checked and read.
fn carried(world: &World, trust: TrustState) -> TrustBundle {
    let mut bundle = bundle(trust);
    bundle.issued_at = t(world.asker.now);
    bundle.expires_at = t(world.asker.now + 1_000);
    bundle.authorities = authorities();
    bundle.policy = world.policy();
    let root = TrustRoot::parse(&signed_root(&root_content(1, &[FEED]), &[FEED])).expect("a root");
    let read = SignedBundle::open(&signed_bundle(&bundle), &root).expect("an honest bundle");
    read.bundle
}

/// What the instance alone knows of the signatures is not in their bundles.
fn away(world: &World) -> World {
    let mut away = world.clone();
    for sig in &mut away.signatures {
        sig.evidence.retain(|proof| proof.class != TimeClass::Recorded);
        sig.ledger = Log::NotConsulted;
    }
    away
}

fn offline(world: &World, trust: &TrustState, budget: &mut Budget) -> Judgement {
    let bundle = carried(world, trust.clone());
    world.judge_by(&bundle.trust, &bundle.authorities, &bundle.policy, budget)
}

#[test]
fn what_needs_no_record_is_answered_as_on_the_instance() {
    worlds(2_000, |world, _, budget| {
        let trust = TrustState::fold(&world.events()).expect("a log that follows its rules");
        let away = away(&world);
        let (there, here) = (away.judge_with(&trust, budget), offline(&away, &trust, budget));
        prop_assert_eq!(there.code, here.code, "{:?}", here.trace);
        prop_assert_eq!(there.anchor_id, here.anchor_id);
        // Who withdrew a statement stays with the instance.
        if there.trace.iter().all(|check| check.name != "withdrawal") {
            prop_assert_eq!(there.trace, here.trace);
        }
        Ok(())
    });
}

#[test]
fn nothing_passes_offline_that_does_not_on_the_instance() {
    let passed = RefCell::new((0, 0));
    worlds(3_000, |world, _, budget| {
        let trust = TrustState::fold(&world.events()).expect("a log that follows its rules");
        let here = offline(&away(&world), &trust, budget);
        let there = world.judge_with(&trust, budget);
        if here.verdict == Verdict::Pass {
            prop_assert_eq!(there.verdict, Verdict::Pass, "{:?}", there.trace);
            passed.borrow_mut().0 += 1;
        } else if there.verdict == Verdict::Pass {
            passed.borrow_mut().1 += 1;
        }
        Ok(())
    });
    let (both, only_there) = passed.into_inner();
    assert!(both > 100, "{both} passed");
    assert!(only_there > 20, "the record mattered {only_there} times");
}
