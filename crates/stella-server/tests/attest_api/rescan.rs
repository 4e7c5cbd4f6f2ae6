//! What a change of trust touches is judged anew, so that the anchors'
//! statistics tell of today.

use stella_core::api::attestations::{ImportAttestation, Withdraw};
use stella_core::id::AnchorId;
use stella_core::time::Clock as _;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::reason::RevokeReason;
use stella_server::app::keys::ImpactQuery;
use stella_server::app::rescan::{Pace, Rescanned};

use crate::PAD;
use crate::support::{World, about, payload};

async fn rescan(world: &World, budget: u64) -> Rescanned {
    let pace = Pace {
        go_on: &|| true,
        budget,
        rests: false,
        withdrawn: true,
    };
    world.app.rescan(&pace).await.expect("judged anew")
}

/// How many pass and do not under the policy of today, and how many are of an
/// older one.
async fn counts(world: &World, anchor: AnchorId) -> (u64, u64, u64) {
    let trust = world.app.trust_head().await.expect("trust");
    let version = trust.anchors[&anchor].policy_version.to_string();
    let counts = world
        .app
        .store
        .verdict_counts(anchor, &version)
        .await
        .expect("counts");
    let of = |verdict: &str| counts.current.get(verdict).copied().unwrap_or_default();
    (of("PASS"), of("FAIL") + of("INDETERMINATE"), counts.stale)
}

#[tokio::test]
async fn what_a_stolen_key_signed_is_judged_anew_and_a_restart_costs_nothing() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    for n in 0..110 {
        if n == 60 {
            world.pass(86_400);
        }
        let name = format!("pkg:npm/left-pad@1.3.{n}");
        world.create(about(&name, "a", "openvex")).await.expect("created");
    }
    let stolen = world.sign_outside("k1", &payload(PAD, "b", "openvex")).await;
    let imported = ImportAttestation { document: stolen };
    world
        .app
        .import_attestation(&world.owner, imported)
        .await
        .expect("imported");
    world.pass(3600);
    assert_eq!(rescan(&world, 10_000).await.judged, 0, "nothing ended");

    // Retired: what it signed before stays good.
    world
        .revoke(anchor, "k1", RevokeReason::AnnualRotation, None)
        .await;
    let first = rescan(&world, 50).await;
    assert_eq!((first.judged, first.done_at), (50, None), "a page, and no more");
    let begun = world.app.store.rescans().await.expect("rescans").remove(0);
    assert_eq!((begun.judged, begun.ended_at), (50, None));
    let world = world.restarted().await;
    let rest = rescan(&world, 10_000).await;
    assert_eq!(rest.judged, 61, "the others, and the import");
    assert!(rest.done_at.is_some());
    let done = world.app.store.rescans().await.expect("rescans").remove(0);
    assert_eq!((done.judged, done.flipped), (111, 0));
    assert!(done.ended_at.is_some());
    assert_eq!(counts(&world, anchor).await, (111, 0, 0));
    assert_eq!(rescan(&world, 10_000).await.judged, 0, "nothing is left");

    // Found out to have been stolen from the first day on.
    world
        .revoke(
            anchor,
            "k1",
            RevokeReason::Compromise,
            Some("2025-01-01T00:00:00Z"),
        )
        .await;
    let status = world
        .app
        .anchor_status(&anchor.to_string())
        .await
        .expect("status");
    assert_eq!((status.judged, status.pending_rescans), (111, 0));
    assert_eq!(counts(&world, anchor).await, (0, 111, 0));
    let done = world.app.store.rescans().await.expect("rescans").remove(0);
    assert_eq!((done.judged, done.flipped), (111, 111));

    // Page by page or all at once, it is the same impact.
    let whole = world
        .app
        .key_impact("k1", ImpactQuery::default())
        .await
        .expect("impact");
    let (mut seen, mut fail, mut cursor) = (0, 0, Some("own".to_owned()));
    let mut pages = 0;
    while cursor.is_some() {
        let asked = ImpactQuery {
            cursor,
            limit: Some(30),
        };
        let page = world.app.key_impact("k1", asked).await.expect("a page");
        assert!(page.attestations <= 30);
        pages += 1;
        seen += page.attestations;
        fail += page.fail;
        cursor = page.next_cursor;
    }
    assert_eq!((seen, fail), (whole.attestations, whole.fail));
    assert!(pages >= 4, "{pages}");
    let rescan = whole.rescan.expect("it was judged anew");
    assert_eq!((rescan.judged, rescan.flipped), (111, 111));
}

#[tokio::test]
async fn what_was_judged_by_an_older_policy_is_judged_by_the_new_one() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let made = world.create(about(PAD, "a", "openvex")).await.expect("created");
    world.verify(&made.id).await;
    assert_eq!(counts(&world, anchor).await, (1, 0, 0));
    world.generate("k2", "default").await;
    let added = stella_core::trust::EventBody::KeyAdded {
        anchor_id: anchor,
        key_id: "k2".parse().expect("a key id"),
        added_at: world.clock.now(),
        expires_at: None,
    };
    world.append(vec![added]).await;
    assert_eq!(counts(&world, anchor).await, (0, 0, 1));
    let status = world
        .app
        .anchor_status(&anchor.to_string())
        .await
        .expect("status");
    assert_eq!(status.success_rate_percent, Some(100.0));
    assert_eq!(counts(&world, anchor).await, (1, 0, 0));
}

#[tokio::test]
async fn a_withdrawal_counts_at_once() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let made = world.create(about(PAD, "a", "openvex")).await.expect("created");
    world.verify(&made.id).await;
    world.pass(60);
    let withdraw = Withdraw {
        reason: "policy-violation".to_owned(),
        note: None,
    };
    world
        .app
        .withdraw_attestation(&world.owner, &made.id, withdraw)
        .await
        .expect("withdrawn");
    assert_eq!(counts(&world, anchor).await, (0, 1, 0));
}

/// Killed between the event and the statistics.
#[tokio::test]
async fn a_withdrawal_that_was_cut_off_counts_from_the_next_start_on() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let made = world.create(about(PAD, "a", "openvex")).await.expect("created");
    world.verify(&made.id).await;
    world.pass(60);
    let row = world.app.store.attestation(made.id.parse().expect("an id")).await;
    let withdrawn = stella_core::trust::EventBody::AttestationWithdrawn {
        pae: row.expect("read").expect("there").pae,
        reason: RevokeReason::PolicyViolation,
        note: None,
    };
    world.append(vec![withdrawn]).await;
    assert_eq!(counts(&world, anchor).await, (1, 0, 0));
    rescan(&world, 10_000).await;
    assert_eq!(counts(&world, anchor).await, (0, 1, 0));
}
