//! Stories of attesting and verifying, from the first key to a thief's work.

mod support;

use stella_core::api::attestations::{
    CreateAttestation, ImportAttestation, Resign, Retry, TestSign, Withdraw,
};
use stella_core::api::verify::{Times, VerifyAttestation};
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::reason::RevokeReason;
use stella_server::app::attest::{AttestationQuery, CreateOptions};
use stella_server::app::logs::LogQuery;
use stella_server::app::{Caller, ErrorKind};
use stella_server::config::Settings;

use support::{World, about, as_of, base64, payload, scoped, sha256, times};

const PAD: &str = "pkg:npm/left-pad@1.3.0";

fn keyed(key: &str) -> CreateOptions {
    CreateOptions {
        idempotency_key: Some(key.to_owned()),
    }
}

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
async fn a_repeated_request_is_done_once_and_a_changed_one_refused() {
    let world = World::ready().await;
    let request = about(PAD, "a", "evidence.stella/v1");
    let create = |request: CreateAttestation, key: &'static str| {
        let world = &world;
        async move {
            world
                .app
                .create_attestation(&world.owner, request, keyed(key))
                .await
        }
    };
    let first = create(request.clone(), "job-7").await.expect("created");
    let again = create(request.clone(), "job-7").await.expect("answered again");
    assert_eq!(again.id, first.id);
    assert!(again.attestations[0].repeated && !first.attestations[0].repeated);
    let other = create(about(PAD, "b", "evidence.stella/v1"), "job-7")
        .await
        .expect_err("mismatch");
    assert_eq!(
        (other.kind, other.code.as_str()),
        (ErrorKind::Refused, "idempotency.mismatch")
    );
    let somebody = Caller::owner("local:other");
    let theirs = world
        .app
        .create_attestation(&somebody, request.clone(), keyed("job-7"))
        .await;
    assert_ne!(theirs.expect("their own key").id, first.id);
    assert_eq!(
        create(request.clone(), "a b").await.expect_err("spaces").code,
        "idempotency.key"
    );

    // Without a key an equal one is answered again, unless asked to force it, or a test.
    assert_eq!(world.create(request.clone()).await.expect("equal").id, first.id);
    let forced = CreateAttestation {
        force: true,
        ..request.clone()
    };
    assert_ne!(world.create(forced).await.expect("anew").id, first.id);
    let test = || about("test:verification", "d", "test");
    let one = world.create(test()).await.expect("created").id;
    assert_ne!(world.create(test()).await.expect("created").id, one);

    // Nor where it would not verify any more.
    let withdraw = Withdraw {
        reason: "policy-violation".to_owned(),
        note: None,
    };
    world
        .app
        .withdraw_attestation(&world.owner, &first.id, withdraw)
        .await
        .expect("withdrawn");
    let anew = world.create(request).await.expect("anew");
    assert!(!anew.attestations[0].repeated);
}

#[tokio::test]
async fn many_at_once_with_one_idempotency_key_are_one() {
    let world = World::ready().await;
    let request = about(PAD, "a", "openvex");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (app, owner, request) = (world.app.clone(), world.owner.clone(), request.clone());
        asking.spawn(async move { app.create_attestation(&owner, request, keyed("once")).await });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(answer) = asking.join_next().await {
        ids.insert(answer.expect("ran").expect("answered").id);
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(world.store.ledger_entries(), 1);
}

#[tokio::test]
async fn one_envelope_for_each_profile_over_the_same_payload() {
    let world = World::ready().await;
    world.generate("p1", "pqc").await;
    let policy = AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    world.anchor("pkg:npm/%40acme/*", &["k1", "p1"], policy).await;
    let request = CreateAttestation {
        profiles: vec!["default".to_owned(), "pqc".to_owned()],
        ..about("pkg:npm/@acme/app@1.0.0", "a", "evidence.stella/v1")
    };
    let made = world
        .app
        .create_attestation(&world.owner, request.clone(), keyed("dual"))
        .await
        .expect("created");
    let [one, two] = made.attestations.as_slice() else {
        panic!("two")
    };
    assert_eq!(one.pae_digest, two.pae_digest);
    assert_eq!(one.subjects[0].name.as_deref(), Some("pkg:npm/%40acme/app@1.0.0"));
    let report = world.verify(&one.id).await;
    assert_eq!(report.verdict, "PASS", "{report:?}");
    let again = world
        .app
        .create_attestation(&world.owner, request, keyed("dual"))
        .await
        .expect("again");
    assert_eq!(again.attestations[1].id, two.id);
    let details = world.app.show_attestation(&one.id).await.expect("details");
    assert_eq!(details.siblings, std::slice::from_ref(&two.id));
    assert_eq!(details.signatures[0].ledger, "signed-here");
}

#[tokio::test]
async fn what_cannot_be_signed_is_recorded_and_signed_later() {
    let world = World::empty().await;
    world.anchor("pkg:npm/*", &[], AnchorPolicy::default()).await;
    let request = serde_json::to_vec(&about(PAD, "a", "evidence.stella/v1")).expect("JSON");
    let (status, body) = world.post("/v1/attestations", request, None).await;
    assert_eq!(status, 202);
    let row = &body["attestations"][0];
    assert_eq!(row["state"], "recorded");
    assert!(
        row["lastError"]
            .as_str()
            .expect("why")
            .starts_with("signing failed")
    );
    let next = row["next"].as_str().expect("a command");
    assert!(
        next.contains("stella keys generate --profile default") && next.contains("attest retry --failed")
    );
    let id = body["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.verify(&id).await.code, "attestation.unsigned");
    assert_eq!(world.gate("a", Some(PAD), &[]).await.code, "attestation.unsigned");
    assert_eq!(
        world.app.attestation_envelope(&id).await.expect_err("none").code,
        "attestation.unsigned"
    );

    let waiting = world.now();
    world.pass(7200);
    world.generate("k1", "default").await;
    let hour = Retry {
        last_seconds: Some(3600),
    };
    let late = world.app.retry_attestations(hour).await.expect("tried");
    assert_eq!((late.tried, late.left_out), (0, 1));
    let all = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("tried");
    assert_eq!((all.tried, all.signed, all.still_unsigned), (1, 1, 0));
    let row = world
        .app
        .show_attestation(&id)
        .await
        .expect("details")
        .attestation;
    assert_eq!((row.state.as_str(), row.last_error), ("signed", None));
    assert_eq!(world.verify(&id).await.code, "key.not-allowed");
    let then = world.verify_at(&id, as_of(&waiting)).await;
    assert_eq!(then.code, "attestation.unsigned", "it was not signed yet then");
    let logged = LogQuery {
        level: Some("error".to_owned()),
        ..LogQuery::default()
    };
    let lines = world.app.read_logs(logged).await.expect("lines").lines;
    assert!(
        lines
            .iter()
            .any(|l| l.component == "signing" && l.message.starts_with("signing failed"))
    );
    assert!(lines.iter().any(|l| l.component == "verification"));
}

#[tokio::test]
async fn a_signature_that_loses_the_race_with_a_change_of_its_key_is_discarded() {
    let world = World::ready().await;
    world.store.move_key(2);
    let made = world.create(about(PAD, "a", "openvex")).await.expect("created");
    assert_eq!(made.attestations[0].state, "signed");
    assert_eq!(
        world.store.ledger_entries(),
        1,
        "what was discarded is in no ledger"
    );
    world.store.move_key(100);
    let made = world.create(about(PAD, "b", "openvex")).await.expect("recorded");
    assert_eq!(made.attestations[0].state, "recorded");
    assert!(
        made.attestations[0]
            .last_error
            .as_deref()
            .expect("why")
            .contains("kept changing")
    );
    let tried = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("tried");
    assert_eq!((tried.signed, tried.still_unsigned), (0, 1));
    world.store.move_key(0);
    let tried = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("tried");
    assert_eq!((tried.signed, world.store.ledger_entries()), (1, 2));
}

#[tokio::test]
async fn a_record_whose_requester_lost_the_right_is_held() {
    let world = World::empty().await;
    let mut ci = scoped("pkg:npm/*", "evidence.stella/v1");
    ci.token = Some("0194bece-a000-7fff-bfff-ffffffffffff".parse().expect("an id"));
    let request = about(PAD, "a", "evidence.stella/v1");
    let made = world
        .app
        .create_attestation(&ci, request, CreateOptions::default())
        .await
        .expect("recorded");
    world.generate("k1", "default").await;
    let tried = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("tried");
    assert_eq!((tried.signed, tried.still_unsigned), (0, 1));
    let row = world
        .app
        .show_attestation(&made.id)
        .await
        .expect("details")
        .attestation;
    assert_eq!(row.state, "held");
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

#[tokio::test]
async fn the_gate_holds() {
    let world = World::ready().await;
    world.generate("p1", "pqc").await;
    world
        .anchor("pkg:npm/evil", &["p1"], AnchorPolicy::default())
        .await;
    assert_eq!(world.gate("a", Some(PAD), &[]).await.code, "attestation.none");

    // Another package's key speaks about our digest, under its own name.
    let evil = CreateAttestation {
        profiles: vec!["pqc".to_owned()],
        ..about("pkg:npm/evil@6.6.6", "a", "evidence.stella/v1")
    };
    world.create(evil).await.expect("created");
    let report = world.gate("a", Some(PAD), &[]).await;
    assert_eq!(report.code, "subject.other-name");
    assert_ne!(report.verdict, "PASS");
    assert!(report.artifact_bound);

    let id = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    let report = world.gate("a", Some(PAD), &[]).await;
    assert_eq!((report.verdict.as_str(), report.parts.len()), ("PASS", 2));
    // Each under the name it claims, which over the network is not good enough.
    assert_eq!(world.gate("a", None, &[]).await.verdict, "PASS");
    let remote = Caller {
        remote: true,
        ..world.owner.clone()
    };
    assert_eq!(
        world.gate_as(&remote, "a", None, &[]).await.code,
        "subject.unbound"
    );

    // One of the required types is missing; then it is there, unsigned; then signed.
    let both = ["evidence.stella/v1", "cyclonedx"];
    let missing = world.gate("a", Some(PAD), &both).await;
    assert_eq!(
        (missing.verdict.as_str(), missing.code.as_str()),
        ("INDETERMINATE", "attestation.missing")
    );
    let sbom = CreateAttestation {
        profiles: vec!["fips".to_owned()],
        ..about(PAD, "a", "cyclonedx")
    };
    let made = world.create(sbom).await.expect("recorded");
    assert_eq!(made.attestations[0].state, "recorded");
    assert_eq!(
        world.gate("a", Some(PAD), &both).await.code,
        "attestation.unsigned"
    );
    world.create(about(PAD, "a", "cyclonedx")).await.expect("signed");
    let report = world.gate("a", Some(PAD), &both).await;
    assert_eq!(report.verdict, "PASS", "{report:?}");
    assert_eq!(report.parts.iter().filter(|p| p.verdict == "PASS").count(), 2);

    // The wanted requester is another one.
    let wanted = |pattern: &str| VerifyAttestation {
        attestation: Some(id.clone()),
        last: false,
        signer: Some(pattern.to_owned()),
        times: times(),
    };
    let theirs = world
        .app
        .verify_attestation(&world.owner, wanted("token:ci-*"))
        .await
        .expect("a verdict");
    assert_eq!(theirs.code, "signer.not-wanted");
    let ours = world
        .app
        .verify_attestation(&world.owner, wanted("local:*"))
        .await
        .expect("a verdict");
    assert_eq!(ours.verdict, "PASS");
}

#[tokio::test]
async fn a_bundle_is_judged_by_the_artifact_it_is_presented_for() {
    let world = World::ready().await;
    let id = world
        .create(about(PAD, "a", "evidence.stella/v1"))
        .await
        .expect("created")
        .id;
    let bundle = world.app.attestation_bundle(&id).await.expect("a bundle");
    let bundle = String::from_utf8(bundle).expect("text");
    let bound = world.verify_bundle(bundle.clone(), Some("a"), Some(PAD)).await;
    assert_eq!((bound.verdict.as_str(), bound.artifact_bound), ("PASS", true));
    let time = bound.parts[0]
        .trace
        .iter()
        .find(|c| c.name == "time")
        .expect("judged");
    assert!(
        time.detail.contains("recorded") && time.detail.contains("ledger"),
        "{}",
        time.detail
    );
    let other = world.verify_bundle(bundle.clone(), Some("b"), Some(PAD)).await;
    assert_eq!(
        (other.verdict.as_str(), other.code.as_str()),
        ("FAIL", "subject.mismatch")
    );
    let named = world
        .verify_bundle(bundle.clone(), None, Some("pkg:npm/right-pad@1.0.0"))
        .await;
    assert_eq!(
        (named.verdict.as_str(), named.code.as_str()),
        ("FAIL", "subject.other-name")
    );
    let free = world.verify_bundle(bundle.clone(), None, None).await;
    assert_eq!((free.verdict.as_str(), free.artifact_bound), ("PASS", false));

    let mut altered: serde_json::Value = serde_json::from_str(&bundle).expect("JSON");
    altered["dsseEnvelope"]["payload"] = base64(&payload(PAD, "b", "evidence.stella/v1")).into();
    let altered = world
        .verify_bundle(altered.to_string(), Some("b"), Some(PAD))
        .await;
    assert_eq!(
        (altered.verdict.as_str(), altered.code.as_str()),
        ("FAIL", "signature.invalid")
    );
    let garbage = world
        .verify_bundle("{\"a\":1,\"a\":2}".to_owned(), None, None)
        .await;
    assert_eq!(
        (garbage.verdict.as_str(), garbage.code.as_str()),
        ("FAIL", "envelope.invalid")
    );
    assert!(garbage.trace[0].detail.contains("json.duplicate-key"));
}

#[tokio::test]
async fn nobody_crowds_a_good_signature_out() {
    let world = World::ready().await;
    let whole = payload(PAD, "a", "evidence.stella/v1");
    for n in 0..20_u8 {
        let envelope = stella_core::dsse::Envelope {
            payload_type: stella_core::dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: whole.clone(),
            signatures: vec![stella_core::dsse::EnvelopeSignature {
                keyid: Some(format!("junk-{n}")),
                sig: vec![n; 64],
            }],
        };
        let document = String::from_utf8(envelope.to_json()).expect("text");
        world
            .app
            .import_attestation(&world.owner, ImportAttestation { document })
            .await
            .expect("imported");
    }
    let request = CreateAttestation {
        statement: Some(base64(&whole)),
        predicate_type: None,
        subjects: Vec::new(),
        predicate: None,
        profiles: Vec::new(),
        force: false,
    };
    let id = world.create(request).await.expect("created").id;
    let report = world.verify(&id).await;
    assert_eq!(report.verdict, "PASS", "{report:?}");
    assert_eq!(world.gate("a", Some(PAD), &[]).await.verdict, "PASS");
}

#[tokio::test]
async fn a_scoped_signer_gets_nothing_outside_its_scope() {
    let world = World::ready().await;
    let ci = scoped("pkg:npm/left-*", "cyclonedx");
    let refused = [
        about(PAD, "a", "openvex"),
        about("pkg:npm/right-pad@1.0.0", "a", "cyclonedx"),
        CreateAttestation {
            subjects: [
                about(PAD, "a", "cyclonedx").subjects,
                about("pkg:npm/b@1", "b", "cyclonedx").subjects,
            ]
            .concat(),
            ..about(PAD, "a", "cyclonedx")
        },
        CreateAttestation {
            statement: Some(base64(&payload("pkg:npm/right-pad@1.0.0", "a", "cyclonedx"))),
            predicate_type: None,
            subjects: Vec::new(),
            predicate: None,
            profiles: Vec::new(),
            force: true,
        },
    ];
    for request in refused {
        let error = world
            .app
            .create_attestation(&ci, request, keyed("k"))
            .await
            .expect_err("refused");
        assert_eq!(
            (error.kind, error.code.as_str()),
            (ErrorKind::Denied, "signer.not-allowed")
        );
    }
    let stored = world
        .app
        .list_attestations(AttestationQuery::default())
        .await
        .expect("a list");
    assert!(stored.attestations.is_empty());
    let allowed = about(PAD, "a", "cyclonedx");
    let made = world
        .app
        .create_attestation(&ci, allowed, keyed("k"))
        .await
        .expect("within");
    assert_eq!(made.attestations[0].requested_by, "token:ci");
    // Nor does signing again widen it.
    let ours = world
        .create(about(PAD, "a", "openvex"))
        .await
        .expect("created")
        .id;
    let resign = Resign {
        profile: None,
        reviewed: Some("mine".to_owned()),
    };
    let error = world
        .app
        .resign_attestation(&ci, &ours, resign)
        .await
        .expect_err("refused");
    assert_eq!(error.code, "signer.not-allowed");
}

#[tokio::test]
async fn hostile_bodies_are_refused_by_name() {
    let mut settings = Settings::default();
    settings.limits.max_body_bytes = 64 * 1024;
    settings.limits.max_subjects = 4;
    let world = World::with(settings).await;
    world.generate("k1", "default").await;
    let whole = |payload: &[u8]| format!("{{\"statement\":\"{}\"}}", base64(payload));
    let good = payload(PAD, "a", "openvex");
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(good.clone()).expect("text").replace(from, to);
        whole(text.as_bytes())
    };
    let deep = "[".repeat(100) + &"]".repeat(100);
    let subject = format!("{{\"digest\":{{\"sha256\":\"{}\"}}}}", "a".repeat(64));
    let cases: Vec<(&str, u16, &str, Vec<u8>)> = vec![
        (
            "twice",
            400,
            "json.duplicate-key",
            br#"{"force":true,"force":false}"#.to_vec(),
        ),
        (
            "deep",
            400,
            "json.too-deep",
            format!("{{\"x\":{deep}}}").into_bytes(),
        ),
        (
            "not UTF-8",
            400,
            "json.utf8",
            b"{\"predicate\":\"\xff\"}".to_vec(),
        ),
        ("not JSON", 400, "json.syntax", b"{".to_vec()),
        ("too large", 413, "body.too-large", vec![b' '; 70 * 1024]),
        ("nothing", 400, "statement.predicate-type", Vec::new()),
        (
            "not base64",
            400,
            "statement.base64",
            br#"{"statement":"!"}"#.to_vec(),
        ),
        (
            "both",
            400,
            "statement.both",
            br#"{"statement":"","predicate":"{}"}"#.to_vec(),
        ),
        (
            "inner twice",
            400,
            "json.duplicate-key",
            replaced("\"predicate\":{}", "\"predicate\":{\"a\":1,\"a\":2}").into_bytes(),
        ),
        (
            "inner deep",
            400,
            "json.too-deep",
            replaced("\"predicate\":{}", &format!("\"predicate\":{deep}")).into_bytes(),
        ),
        (
            "inner UTF-8",
            400,
            "json.utf8",
            whole(b"{\"\xc3\x28\":1}").into_bytes(),
        ),
        (
            "no statement",
            400,
            "statement.type",
            replaced("Statement/v1", "Statement/v9").into_bytes(),
        ),
        (
            "bad name",
            400,
            "subject.name",
            replaced(PAD, "pkg:npm").into_bytes(),
        ),
        (
            "subjects",
            400,
            "statement.too-many-subjects",
            replaced(
                "\"subject\":[",
                &format!("\"subject\":[{}", format!("{subject},").repeat(4)),
            )
            .into_bytes(),
        ),
        (
            "profile",
            404,
            "profile.unknown",
            format!("{{\"statement\":\"{}\",\"profiles\":[\"nope\"]}}", base64(&good)).into_bytes(),
        ),
    ];
    for (what, status, code, body) in cases {
        let (got, answer) = world.post("/v1/attestations", body, None).await;
        assert_eq!(
            (got, answer["code"].as_str()),
            (status, Some(code)),
            "{what}: {answer}"
        );
    }
    let stored = world
        .app
        .list_attestations(AttestationQuery::default())
        .await
        .expect("a list");
    assert!(stored.attestations.is_empty(), "nothing of it is stored");
    for (document, code) in [
        (
            r#"{"payload":"","payloadType":"t","signatures":[]}"#,
            "envelope.no-signature",
        ),
        (
            r#"{"payload":"","payloadType":"t","signatures":[{"sig":"AA=="}]}"#,
            "envelope.payload-type",
        ),
        (
            r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#,
            "bundle.no-envelope",
        ),
    ] {
        let body = serde_json::json!({ "document": document }).to_string();
        let (got, answer) = world.post("/v1/attestations/import", body, None).await;
        assert_eq!((got, answer["code"].as_str()), (400, Some(code)));
    }
}

#[tokio::test]
async fn over_http_the_status_says_what_happened() {
    let world = World::ready().await;
    let body = serde_json::to_vec(&about(PAD, "a", "openvex")).expect("JSON");
    let key = Some(("Idempotency-Key", "job-1"));
    let (status, made) = world
        .post("/v1/attestations?wait=signed", body.clone(), key)
        .await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(world.post("/v1/attestations", body.clone(), key).await.0, 200);
    let other = serde_json::to_vec(&about(PAD, "b", "openvex")).expect("JSON");
    let (status, answer) = world.post("/v1/attestations", other, key).await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (422, Some("idempotency.mismatch"))
    );
    assert_eq!(world.post("/v1/attestations?wait=never", body, None).await.0, 400);
    // Curl's default content type, and a verdict that is not a PASS, are answers all the same.
    let question = serde_json::json!({ "digests": sha256("f") }).to_string();
    let (status, answer) = world.post("/v1/verify/artifact", question, None).await;
    assert_eq!((status, answer["code"].as_str()), (200, Some("attestation.none")));
    let unknown = serde_json::json!({ "attestation": "ffffffff" }).to_string();
    assert_eq!(world.post("/v1/verify/attestation", unknown, None).await.0, 404);
    let last = serde_json::json!({ "last": true }).to_string();
    let (_, answer) = world.post("/v1/verify/attestation", last, None).await;
    assert_eq!(answer["attestationId"], made["id"]);
}

#[tokio::test]
async fn the_on_call_person_sees_what_is_wrong() {
    let world = World::ready().await;
    let id = world
        .create(about(PAD, "a", "openvex"))
        .await
        .expect("created")
        .id;
    let intact = world.app.check_integrity(&id).await.expect("checked");
    assert!(
        intact.intact && intact.checks.iter().any(|c| c.name == "ledger"),
        "{intact:?}"
    );
    let short = format!("{}...", &id[..20]);
    assert_eq!(
        world
            .app
            .show_attestation(&short)
            .await
            .expect("by prefix")
            .attestation
            .id,
        id
    );
    let signed = world
        .app
        .test_sign(
            &world.owner,
            TestSign {
                profile: None,
                key_id: None,
            },
        )
        .await
        .expect("signs");
    assert_eq!((signed.ok, signed.key_id.as_str()), (true, "k1"));
    let none = TestSign {
        profile: Some("fips".to_owned()),
        key_id: None,
    };
    let none = world.app.test_sign(&world.owner, none).await.expect_err("no key");
    assert_eq!(none.next.as_deref(), Some("stella keys generate --profile fips"));
    let status = world.app.status().await.expect("status");
    let able: Vec<_> = status
        .profiles
        .iter()
        .filter(|p| p.can_sign)
        .map(|p| p.profile.as_str())
        .collect();
    assert_eq!((able, status.signed), (vec!["default"], 1));

    // Past the age its profile allows, the key signs nothing new.
    world.pass(400 * 86_400);
    let late = world.create(about(PAD, "b", "openvex")).await.expect("recorded");
    assert_eq!(late.attestations[0].state, "recorded");
    assert!(
        late.attestations[0]
            .last_error
            .as_deref()
            .expect("why")
            .contains("past the age")
    );
    assert_eq!(world.verify(&id).await.verdict, "PASS");
    let status = world.app.status().await.expect("status");
    assert!(
        status.warnings.iter().any(|w| w.contains("retry --failed")),
        "{:?}",
        status.warnings
    );
    let forced = CreateAttestation {
        predicate: None,
        force: true,
        ..about(PAD, "a", "openvex")
    };
    let again = world
        .create(forced)
        .await
        .expect("recorded")
        .attestations
        .remove(0);
    let first = world
        .app
        .show_attestation(&id)
        .await
        .expect("details")
        .attestation;
    assert_eq!(
        again.pae_digest, first.pae_digest,
        "the recorded predicate is reused"
    );
    let nothing = CreateAttestation {
        predicate: None,
        force: true,
        ..about(PAD, "c", "openvex")
    };
    assert_eq!(
        world.create(nothing).await.expect_err("nothing to reuse").code,
        "statement.predicate"
    );
}
