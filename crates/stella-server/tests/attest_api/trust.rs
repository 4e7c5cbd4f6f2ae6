//! Rotation, theft, re-signing, withdrawal, and answers about the past.

use stella_core::api::attestations::{ImportAttestation, Resign, Withdraw};
use stella_core::api::verify::{Times, VerifyAttestation, VerifyBundle};
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::reason::RevokeReason;
use stella_server::app::ErrorKind;

use crate::PAD;
use crate::support::{World, about, as_of, base64, payload, times};

#[tokio::test]
async fn an_old_proof_outlives_rotation_and_a_theft_undoes_what_came_after_it() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(3600);
    let made = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created");
    let first = &made.attestations[0];
    assert_eq!(
        (first.state.as_str(), first.key_id.as_deref()),
        ("signed", Some("k1"))
    );
    let would = first.would_verify.as_ref().expect("judged");
    assert_eq!(
        (would.verdict.as_str(), would.anchor_id.clone()),
        ("PASS", Some(anchor.to_string()))
    );
    assert_eq!(world.verify(&made.id).await.verdict, "PASS");

    world.pass(86_400);
    world.generate("k2", "default").await;
    world.activate("k2").await;
    // The new key is in no anchor yet: it signs, and says that it would not verify.
    let early = world
        .create(about("pkg:npm/other@1.0.0", "b", "evidence.stella/v1"))
        .await
        .expect("created");
    let early = &early.attestations[0];
    assert_eq!(early.key_id.as_deref(), Some("k2"));
    assert_eq!(
        early.would_verify.as_ref().map(|w| w.code.as_str()),
        Some("key.not-allowed")
    );
    assert_eq!(early.warnings.len(), 1);
    assert_eq!(world.verify(&made.id).await.verdict, "PASS");

    world.pass(86_400);
    world
        .revoke(anchor, "k1", RevokeReason::AnnualRotation, None)
        .await;
    let old = world.verify(&made.id).await;
    assert_eq!((old.verdict.as_str(), old.code.as_str()), ("PASS", "ok"));
    // A signature held elsewhere only cannot show that it is older than the end.
    let unseen = world.sign_outside("k1", &payload(PAD, "c", "openvex")).await;
    let unseen = world.verify_bundle(unseen, Some("c"), Some(PAD)).await;
    assert_eq!(
        (unseen.verdict.as_str(), unseen.code.as_str()),
        ("INDETERMINATE", "time.not-proven")
    );

    // Our own record does not count against somebody who held the key.
    world.revoke(anchor, "k1", RevokeReason::Compromise, None).await;
    assert_eq!(world.verify(&made.id).await.code, "key.window-unknown");
    world
        .revoke(
            anchor,
            "k1",
            RevokeReason::Compromise,
            Some("2025-01-01T00:30:00Z"),
        )
        .await;
    let after = world.verify(&made.id).await;
    assert_eq!(
        (after.verdict.as_str(), after.code.as_str()),
        ("FAIL", "key.compromised")
    );
    assert!(
        after
            .next
            .expect("a command")
            .contains(&format!("attest resign {}", made.id))
    );
}

#[tokio::test]
async fn a_thiefs_envelope_is_warned_about_and_never_signed_again_unseen() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    let strict = AnchorPolicy {
        require_ledger: true,
        ..AnchorPolicy::default()
    };
    world.anchor("pkg:npm/%40bank/*", &["k1"], strict).await;
    world.pass(60);
    let import = |document: String| {
        let world = &world;
        async move {
            world
                .app
                .import_attestation(&world.owner, ImportAttestation { document })
                .await
        }
    };
    let forged = world
        .sign_outside("k1", &payload(PAD, "a", "evidence.stella/v1"))
        .await;
    let loose = import(forged.clone()).await.expect("imported");
    assert!(loose.imported && loose.key_id.is_none());
    assert!(import(forged).await.expect("known").repeated);
    let report = world.verify(&loose.id).await;
    assert_eq!(report.verdict, "PASS");
    let ledger = report.trace.iter().find(|c| c.name == "ledger").expect("checked");
    assert_eq!(
        (ledger.status.as_str(), ledger.code.as_deref()),
        ("warn", Some("ledger.unknown"))
    );

    let forged = world
        .sign_outside(
            "k1",
            &payload("pkg:npm/@bank/app@1.0.0", "b", "evidence.stella/v1"),
        )
        .await;
    let bank = import(forged.clone()).await.expect("imported");
    let report = world.verify(&bank.id).await;
    assert_eq!(
        (report.verdict.as_str(), report.code.as_str()),
        ("FAIL", "ledger.unknown")
    );

    let resign = |reviewed: Option<&str>| Resign {
        profile: None,
        reviewed: reviewed.map(str::to_owned),
    };
    let refused = world
        .app
        .resign_attestation(&world.owner, &bank.id, resign(None))
        .await;
    assert_eq!(refused.expect_err("refused").code, "resign.not-in-ledger");
    let blank = world
        .app
        .resign_attestation(&world.owner, &bank.id, resign(Some("  ")))
        .await;
    assert_eq!(blank.expect_err("refused").code, "resign.not-in-ledger");
    let seen = world
        .app
        .resign_attestation(&world.owner, &bank.id, resign(Some("rebuilt it, equal")))
        .await;
    let seen = seen.expect("reviewed");
    assert_eq!(seen.supersedes.as_deref(), Some(bank.id.as_str()));
    let details = world.app.show_attestation(&seen.id).await.expect("details");
    assert_eq!(details.authority["reviewed"], "rebuilt it, equal");
    assert_eq!(world.verify(&seen.id).await.verdict, "PASS");

    // A signature that the named key did not make is no evidence of anything.
    let mut lie: serde_json::Value = serde_json::from_str(&forged).expect("JSON");
    lie["payload"] = base64(&payload(PAD, "e", "evidence.stella/v1")).into();
    assert_eq!(
        import(lie.to_string()).await.expect_err("refused").code,
        "signature.invalid"
    );
    lie["signatures"][0]["keyid"] = "somebody-elses".into();
    assert!(
        import(lie.to_string()).await.is_ok(),
        "unknown keys may be anybody's"
    );
}

#[tokio::test]
async fn resigning_mends_an_old_proof_and_only_one_that_is_older_than_the_end() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let anchor = world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
    world.pass(60);
    let early = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    world.pass(3600);
    let since = world.now();
    let late = world
        .create(about(PAD, "b", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    world.pass(60);
    world
        .revoke(anchor, "k1", RevokeReason::Compromise, Some(&since))
        .await;
    world.generate("k2", "default").await;
    world
        .append(vec![stella_core::trust::EventBody::KeyAdded {
            anchor_id: anchor,
            key_id: "k2".parse().expect("id"),
            added_at: stella_core::time::Clock::now(world.clock.as_ref()),
            expires_at: None,
        }])
        .await;
    assert_eq!(world.verify(&early).await.verdict, "INDETERMINATE");
    let resign = Resign {
        profile: None,
        reviewed: None,
    };
    let new = world
        .app
        .resign_attestation(&world.owner, &early, resign.clone())
        .await
        .expect("signed again");
    assert_eq!(
        (new.state.as_str(), new.key_id.as_deref()),
        ("signed", Some("k2"))
    );
    assert_eq!(world.verify(&new.id).await.verdict, "PASS");
    let gate = world.gate("a", Some(PAD), &[]).await;
    assert_eq!(gate.verdict, "PASS", "{gate:?}");
    let bundle = world.app.attestation_bundle(&new.id).await.expect("a bundle");
    let bundle = String::from_utf8(bundle).expect("text");
    let bound = world.verify_bundle(bundle, Some("a"), Some(PAD)).await;
    assert_eq!(bound.verdict, "PASS", "{bound:?}");
    let old = world
        .app
        .show_attestation(&early)
        .await
        .expect("details")
        .attestation;
    assert_eq!(old.superseded_by, Some(new.id));
    let refused = world
        .app
        .resign_attestation(&world.owner, &late, resign)
        .await
        .expect_err("refused");
    assert_eq!(refused.code, "resign.after-key-end");
    assert!(refused.next.expect("a command").contains("--reviewed"));
}

#[tokio::test]
async fn what_was_withdrawn_fails_and_answers_about_the_past_stay_what_they_were() {
    let world = World::ready().await;
    let before = world.now();
    world.pass(10);
    let id = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    world.pass(10);
    let standing = world.now();
    assert_eq!(world.verify(&id).await.verdict, "PASS");
    world.pass(10);
    let withdraw = Withdraw {
        reason: "policy-violation".to_owned(),
        note: Some("wrong build".to_owned()),
    };
    let gone = world
        .app
        .withdraw_attestation(&world.owner, &id, withdraw)
        .await
        .expect("withdrawn");
    assert_eq!(gone.withdrawn.expect("withdrawn").by, "local:root");
    let now = world.verify(&id).await;
    assert_eq!(
        (now.verdict.as_str(), now.code.as_str()),
        ("FAIL", "attestation.withdrawn")
    );
    assert_eq!(world.gate("a", Some(PAD), &[]).await.verdict, "FAIL");

    let then = world.verify_at(&id, as_of(&standing)).await;
    assert_eq!(
        (then.verdict.as_str(), then.now.as_str()),
        ("PASS", standing.as_str())
    );
    let request = |times: Times| VerifyAttestation {
        attestation: Some(id.clone()),
        last: false,
        signer: None,
        times,
    };
    let ask = |times: Times| world.app.verify_attestation(&world.owner, request(times));
    let unknown = ask(as_of(&before)).await.expect_err("not there yet");
    assert_eq!(
        (unknown.kind, unknown.code.as_str()),
        (ErrorKind::NotFound, "attestation.unknown")
    );
    let future = Times {
        at_time: Some("2030-01-01T00:00:00Z".to_owned()),
        ..times()
    };
    assert_eq!(ask(future).await.expect_err("future").code, "time.in-future");
    assert_eq!(
        ask(as_of("2030-01-01T00:00:00Z")).await.expect_err("future").code,
        "time.in-future"
    );
    let past = Times {
        now: Some(standing.clone()),
        ..times()
    };
    let past = ask(past).await.expect_err("past");
    assert_eq!(past.code, "time.in-past");
    assert!(past.next.expect("a command").contains("--as-of"));
    let asserted = Times {
        at_time: Some(before),
        ..as_of(&standing)
    };
    assert_eq!(ask(asserted).await.expect("a verdict").code, "time.not-proven-by");
}

/// FAIL is what nothing could mend: not what the ledger came to hold later.
#[tokio::test]
async fn of_a_moment_before_the_signature_the_ledger_says_nothing() {
    let world = World::empty().await;
    world.generate("k1", "default").await;
    let strict = AnchorPolicy {
        require_ledger: true,
        ..AnchorPolicy::default()
    };
    world.anchor("pkg:npm/*", &["k1"], strict).await;
    world.pass(60);
    let before = world.now();
    world.pass(60);
    let ask = async |document: &str, times: Times| {
        let request = VerifyBundle {
            document: document.to_owned(),
            digests: Default::default(),
            purl: Some(PAD.to_owned()),
            require_types: Vec::new(),
            times,
        };
        let answer = world.app.verify_bundle(&world.owner, request).await;
        answer.expect("a verdict").code
    };
    let made = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created");
    let envelope = world.app.attestation_envelope(&made.id).await.expect("signed");
    let envelope = String::from_utf8(envelope).expect("text");
    assert_eq!(ask(&envelope, times()).await, "ok");
    assert_eq!(ask(&envelope, as_of(&before)).await, "ledger.not-consulted");
    // What was never signed here is not there at any moment.
    let forged = world
        .sign_outside("k1", &payload(PAD, "b", "evidence.stella/v1"))
        .await;
    assert_eq!(ask(&forged, times()).await, "ledger.unknown");
    assert_eq!(ask(&forged, as_of(&before)).await, "ledger.unknown");
}
