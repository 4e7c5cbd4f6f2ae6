//! Nothing acknowledged is lost, nothing is done twice, nothing is signed beyond its scope.

use std::sync::Arc;
use std::time::Duration;

use stella_core::api::attestations::{
    CreateAttestation, ImportAttestation, Resign, Retry, TestSign, Withdraw,
};
use stella_core::api::keys::SetConfig;
use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorPolicy;
use stella_server::app::attest::{AttestationQuery, CreateOptions, Wait};
use stella_server::app::logs::LogQuery;
use stella_server::app::tokens::Remembered;
use stella_server::app::{Caller, ErrorKind};
use stella_server::config::Settings;
use stella_store::{AttestationState, Claiming, WaitingFilter};

use crate::support::memory::MemoryStore;
use crate::support::{Fault, World, about, as_of, base64, payload, scoped};
use crate::{PAD, keyed};

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

    // With another key it is another one, unless an equal one is good enough.
    world.pass(1);
    let another = create(request.clone(), "job-8").await.expect("anew");
    assert_ne!(another.id, first.id);
    let equal = CreateAttestation {
        force: Some(false),
        ..request.clone()
    };
    let equal = create(equal, "job-9").await.expect("equal");
    assert!(equal.attestations[0].repeated);
    assert_eq!(equal.id, another.id);
    let first = equal;

    // Without a key an equal one is answered again, unless asked to force it, or a test.
    assert_eq!(world.create(request.clone()).await.expect("equal").id, first.id);
    let forced = CreateAttestation {
        force: Some(true),
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
    world.generate("p1", "pqc").await;
    let request = CreateAttestation {
        profiles: vec!["default".to_owned(), "pqc".to_owned()],
        ..about(PAD, "a", "openvex")
    };
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (app, owner, request) = (world.app.clone(), world.owner.clone(), request.clone());
        asking.spawn(async move { app.create_attestation(&owner, request, keyed("once")).await });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(answer) = asking.join_next().await {
        let made = answer.expect("ran").expect("answered");
        assert_eq!(made.attestations.len(), 2);
        ids.insert((made.attestations[0].id.clone(), made.attestations[1].id.clone()));
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(world.ledger_entries().await, 2);
}

#[tokio::test]
async fn one_envelope_for_each_profile_over_the_same_payload() {
    for second in ["pqc", "fips", "gost", "sm2"] {
        two_profiles_are_two_signatures(second).await;
    }
}

async fn two_profiles_are_two_signatures(second: &str) {
    let world = World::ready().await;
    world.generate("p1", second).await;
    let policy = AnchorPolicy {
        threshold: 2,
        ..AnchorPolicy::default()
    };
    world.anchor("pkg:npm/%40acme/*", &["k1", "p1"], policy).await;
    let alone = about("pkg:npm/@acme/alone@1.0.0", "b", "evidence.stella/v1");
    let alone = world.create(alone).await.expect("created");
    let report = world.verify(&alone.id).await;
    assert_ne!(report.verdict, "PASS", "{second}: one of two");
    let request = CreateAttestation {
        profiles: vec!["default".to_owned(), second.to_owned()],
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
    assert_eq!(report.verdict, "PASS", "{second}: {report:?}");
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
async fn who_waits_for_the_record_alone_has_it_signed_by_the_queue() {
    let world = World::ready().await;
    let request = serde_json::to_vec(&about(PAD, "a", "evidence.stella/v1")).expect("JSON");
    let wait = "/v1/attestations?wait=recorded";
    let (status, body) = world
        .post(wait, request.clone(), Some(("idempotency-key", "job-7")))
        .await;
    assert_eq!(status, 202);
    let row = &body["attestations"][0];
    assert_eq!((&row["state"], &row["attempts"]), (&"recorded".into(), &0.into()));
    assert!(row["lastError"].is_null(), "nothing went wrong: {row}");
    assert!(row["next"].as_str().expect("a command").contains("attest retry"));
    assert_eq!(world.ledger_entries().await, 0, "nobody signed it yet");

    let done = world.app.sign_due().await.expect("a round");
    assert_eq!((done.tried, done.signed), (1, 1));
    let (status, body) = world
        .post(wait, request, Some(("idempotency-key", "job-7")))
        .await;
    assert_eq!(status, 200);
    assert_eq!(body["attestations"][0]["state"], "signed");
    assert_eq!(body["attestations"][0]["wouldVerify"]["verdict"], "PASS");
    let (status, refused) = world.post("/v1/attestations?wait=forever", "{}", None).await;
    assert_eq!((status, &refused["code"]), (400, &"wait.unknown".into()));
}

#[tokio::test]
async fn two_replicas_share_a_queue_and_sign_each_record_once() {
    let one = World::ready().await;
    let ids = queued(&one, 0..50).await;
    let two = one.beside().await;
    let (a, b) = tokio::join!(one.app.sign_due(), two.app.sign_due());
    let (a, b) = (a.expect("a round"), b.expect("a round"));
    assert_eq!((a.tried + b.tried, a.signed + b.signed), (50, 50));
    assert_eq!(one.ledger_entries().await, 50);
    for id in [&ids[0], &ids[49]] {
        assert_eq!(two.verify(id).await.verdict, "PASS");
    }
}

#[tokio::test]
async fn what_a_dead_replica_had_claimed_others_sign_when_its_claim_has_run_out() {
    let world = World::ready().await;
    queued(&world, 0..3).await;
    let waiting = WaitingFilter {
        states: vec![AttestationState::Recorded],
        due_by: None,
        after: None,
        now: world.app.now(),
        limit: 10,
    };
    let found = world.app.store.waiting(waiting).await.expect("found");
    let claiming = Claiming {
        attestations: found.iter().map(|record| record.id).collect(),
        states: vec![AttestationState::Recorded],
        due_by: None,
        replica: "dead".to_owned(),
        now: world.app.now(),
        until: world.app.now().saturating_add(Duration::from_secs(30)),
    };
    let dead = world.app.store.claim(claiming).await.expect("claimed");
    let mut round = world.app.sign_due().await.expect("a round");
    assert_eq!((dead.len(), round.tried), (3, 0));
    world.pass(29);
    round = world.app.sign_due().await.expect("a round");
    assert_eq!(round.tried, 0);
    world.pass(1);
    round = world.app.sign_due().await.expect("a round");
    assert_eq!((round.tried, round.signed), (3, 3));
}

#[tokio::test]
async fn what_failed_together_is_not_tried_again_in_step() {
    let mut world = World::empty().await;
    let app = Arc::get_mut(&mut world.app).expect("nobody else has it");
    app.target.mode = "server";
    let mut next = std::collections::BTreeSet::new();
    for n in 0..8 {
        let name = format!("pkg:npm/left-pad@1.3.{n}");
        let made = world
            .create(about(&name, "a", "openvex"))
            .await
            .expect("recorded");
        let at = made.attestations[0].next_attempt_at.clone().expect("a time");
        let at: Timestamp = at.parse().expect("a time");
        let pause = at.since(world.app.now()).as_millis();
        assert!((5_000..=10_000).contains(&pause), "{pause} ms");
        next.insert(pause);
    }
    assert!(next.len() > 1, "{next:?}");
}

#[tokio::test]
async fn the_queue_asks_a_key_store_no_more_often_than_it_may() {
    let mut settings = Settings::default();
    settings.signing.queue_rate = Some(20);
    let world = World::with(settings).await.with_key().await;
    queued(&world, 0..7).await;
    let begun = std::time::Instant::now();
    let round = world.app.sign_due().await.expect("a round");
    assert_eq!(round.signed, 7);
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "{:?}",
        begun.elapsed()
    );
    // Who asks for a signature now does not wait for the queue.
    world.create(about(PAD, "e", "openvex")).await.expect("signed");
}

#[tokio::test]
async fn status_tells_how_fast_the_queue_is_and_when_it_will_be_empty() {
    let world = World::ready().await;
    queued(&world, 0..10).await;
    world.pass(10);
    world.app.sign_due().await.expect("a round");
    queued(&world, 10..15).await;
    world.create(about(PAD, "e", "openvex")).await.expect("signed");
    world.pass(30);
    let status = world.app.status().await.expect("a status");
    assert_eq!((status.recorded, status.oldest_unsigned_seconds), (5, Some(30)));
    assert_eq!(
        (status.drained_per_minute, status.drained_in_seconds),
        (20, Some(15))
    );
}

/// Recorded for the queue, oldest first.
async fn queued(world: &World, versions: std::ops::Range<u32>) -> Vec<String> {
    let mut ids = Vec::new();
    for n in versions {
        let options = CreateOptions {
            wait: Wait::Recorded,
            ..CreateOptions::default()
        };
        let request = about(&format!("pkg:npm/left-pad@1.3.{n}"), "a", "openvex");
        let made = world.app.create_attestation(&world.owner, request, options);
        ids.push(made.await.expect("recorded").id);
    }
    ids
}

/// The old one falls with the successor's signature, neither sooner nor later.
#[tokio::test]
async fn a_successor_that_is_signed_late_supersedes_then() {
    let store = Arc::new(MemoryStore::default());
    let home = tempfile::tempdir().expect("a folder");
    let world = World::over(store.clone(), Settings::default(), home)
        .with_key()
        .await;
    let old = world
        .create(about(PAD, "a", "openvex"))
        .await
        .expect("created")
        .id;
    let resign = || {
        world.app.resign_attestation(
            &world.owner,
            &old,
            Resign {
                profile: None,
                reviewed: None,
            },
        )
    };
    let superseded_by = || async {
        let details = world.app.show_attestation(&old).await.expect("details");
        details.attestation.superseded_by
    };
    let sound = world.break_key("k1", Fault::Down).await;
    let new = resign().await.expect("recorded");
    assert_eq!((new.state.as_str(), superseded_by().await), ("recorded", None));
    assert_eq!(world.verify(&old).await.verdict, "PASS");

    world
        .app
        .signers
        .keep(&"k1".parse().expect("an id"), "software://", &sound)
        .await;
    store.move_head(2);
    let tried = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("tried");
    assert_eq!((tried.signed, superseded_by().await), (1, Some(new.id)));

    store.move_head(2);
    let newer = resign().await.expect("signed");
    assert_eq!(newer.state, "signed");
    assert_eq!(superseded_by().await, Some(newer.id));
}

#[tokio::test]
async fn a_signature_that_loses_the_race_with_a_change_of_its_key_is_discarded() {
    let store = Arc::new(MemoryStore::default());
    let home = tempfile::tempdir().expect("a folder");
    let world = World::over(store.clone(), Settings::default(), home)
        .with_key()
        .await;
    store.move_key(2);
    let made = world.create(about(PAD, "a", "openvex")).await.expect("created");
    assert_eq!(made.attestations[0].state, "signed");
    assert_eq!(
        world.ledger_entries().await,
        1,
        "what was discarded is in no ledger"
    );
    store.move_key(100);
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
    store.move_key(0);
    let tried = world
        .app
        .retry_attestations(Retry { last_seconds: None })
        .await
        .expect("tried");
    assert_eq!((tried.signed, world.ledger_entries().await), (1, 2));
}

#[tokio::test]
async fn a_record_whose_requester_lost_the_right_is_held() {
    let world = World::empty().await;
    let (ci, _, token) = with_a_token(&world).await;
    let request = about(PAD, "a", "evidence.stella/v1");
    let made = world
        .app
        .create_attestation(&ci, request, CreateOptions::default())
        .await
        .expect("recorded");
    world
        .app
        .revoke_token(&world.owner, &token)
        .await
        .expect("revoked");
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

/// The token was good when the request began; its body took long.
#[tokio::test]
async fn a_token_that_is_revoked_while_its_request_comes_in_signs_nothing() {
    let world = World::ready().await;
    for wait in [Wait::Recorded, Wait::Signed] {
        let (ci, remembered, token) = with_a_token(&world).await;
        let options = CreateOptions {
            wait,
            remembered: Some(remembered),
            ..CreateOptions::default()
        };
        let create = |digit: &str| {
            let request = about(PAD, digit, "evidence.stella/v1");
            world.app.create_attestation(&ci, request, options.clone())
        };
        create("a").await.expect("a token that is good");
        world
            .app
            .revoke_token(&world.owner, &token)
            .await
            .expect("revoked");
        for digit in ["a", "b"] {
            let refused = create(digit).await.expect_err("a token that was revoked");
            assert_eq!(refused.code, "access.unauthenticated", "{wait:?} {digit}");
        }
    }
    let stored = world
        .app
        .list_attestations(AttestationQuery::default())
        .await
        .expect("a list");
    assert_eq!(stored.attestations.len(), 2);
}

/// A signer by a token of the store, what is remembered of it, and its id.
async fn with_a_token(world: &World) -> (Caller, Remembered, String) {
    let request = serde_json::from_value(serde_json::json!({
        "role": "signer", "purls": ["pkg:npm/*"], "types": ["evidence.stella/v1"],
    }));
    let made = world
        .app
        .create_token(&world.owner, request.expect("a request"))
        .await
        .expect("a token");
    let known = world.app.remembered_caller(&made.secret).await;
    let (caller, remembered) = known.expect("whose it is");
    (caller, remembered, made.token.id)
}

/// Another process on the same store knows more than this one remembers.
#[tokio::test]
async fn what_another_process_revoked_signs_nothing_more() {
    let world = World::ready().await;
    let (ci, remembered, token) = with_a_token(&world).await;
    let options = CreateOptions {
        remembered: Some(remembered),
        ..CreateOptions::default()
    };
    let create = |digit: &str| {
        let request = about(PAD, digit, "evidence.stella/v1");
        world.app.create_attestation(&ci, request, options.clone())
    };
    create("a").await.expect("a token that is good");
    let other = world.beside().await;
    let revoked = other.app.revoke_token(&other.owner, &token).await;
    revoked.expect("revoked");
    let refused = create("b").await.expect_err("a token that was revoked");
    assert_eq!(refused.code, "access.unauthenticated");
}

/// What somebody only brought here is not put under our name by the way.
#[tokio::test]
async fn force_reuses_what_was_recorded_here_and_no_import() {
    let world = World::ready().await;
    let envelope = stella_core::dsse::Envelope {
        payload_type: stella_core::dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: payload(PAD, "a", "openvex"),
        signatures: vec![stella_core::dsse::EnvelopeSignature {
            keyid: None,
            sig: vec![1; 64],
        }],
    };
    let document = String::from_utf8(envelope.to_json()).expect("text");
    let planted = ImportAttestation { document };
    world
        .app
        .import_attestation(&scoped("pkg:npm/other", "openvex"), planted)
        .await
        .expect("imported");
    let forced = || CreateAttestation {
        predicate: None,
        force: Some(true),
        ..about(PAD, "a", "openvex")
    };
    let refused = world.create(forced()).await.expect_err("nothing of ours");
    assert_eq!(refused.code, "statement.predicate");

    let ours = world.create(about(PAD, "a", "openvex")).await.expect("created");
    let again = world.create(forced()).await.expect("created anew");
    assert_eq!(again.attestations[0].pae_digest, ours.attestations[0].pae_digest);
    let withdraw = Withdraw {
        reason: "policy-violation".to_owned(),
        note: None,
    };
    let done = world
        .app
        .withdraw_attestation(&world.owner, &ours.id, withdraw)
        .await;
    assert!(done.is_ok());
    let refused = world.create(forced()).await.expect_err("taken back");
    assert_eq!(refused.code, "statement.predicate");
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
            force: Some(true),
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

/// Not even a nonce: each signature costs the key store one.
#[tokio::test]
async fn a_scoped_signer_tries_no_key_of_another_profile() {
    let world = World::ready().await;
    world.generate("f1", "fips").await;
    let mut ci = scoped("*", "cyclonedx");
    ci.scope.profiles = Some(["fips".parse().expect("a profile")].into());
    let try_key = async |profile: Option<&str>, key: Option<&str>| {
        let request = TestSign {
            profile: profile.map(str::to_owned),
            key_id: key.map(str::to_owned),
        };
        world.app.test_sign(&ci, request).await.map_err(|e| e.code)
    };
    for (profile, key) in [(None, None), (Some("default"), None), (None, Some("k1"))] {
        assert_eq!(try_key(profile, key).await, Err("signer.not-allowed".to_owned()));
    }
    assert!(try_key(Some("fips"), None).await.is_ok());
    assert!(try_key(None, Some("f1")).await.is_ok());
}

#[tokio::test]
async fn whatever_the_key_store_does_nothing_is_called_signed_that_is_not() {
    let faults = [
        (Fault::Hung, "recorded", "did not answer in time"),
        (Fault::Lying, "recorded", "does not verify"),
        (Fault::Down, "recorded", "unavailable"),
        (Fault::TooSmall, "failed", "at most 1 bytes"),
    ];
    for (fault, state, reason) in faults {
        let mut settings = Settings::default();
        settings.signing.deadline = std::time::Duration::from_millis(200);
        let world = World::with(settings).await;
        world.generate("k1", "default").await;
        world.anchor("pkg:npm/*", &["k1"], AnchorPolicy::default()).await;
        let sound = world.break_key("k1", fault).await;
        let one = world.create(about(PAD, "a", "openvex")).await.expect("recorded");
        let two = world.create(about(PAD, "b", "openvex")).await.expect("recorded");
        let row = &one.attestations[0];
        assert_eq!(row.state, state);
        let why = row.last_error.as_deref().expect("why");
        assert!(why.starts_with("signing failed") && why.contains(reason), "{why}");
        assert_eq!(world.ledger_entries().await, 0);

        // A store that is down is tried once for all, and costs no other record an attempt.
        let tried = world
            .app
            .retry_attestations(Retry { last_seconds: None })
            .await
            .expect("tried");
        assert_eq!(tried.tried, if state == "failed" { 2 } else { 1 });
        assert_eq!((tried.signed, tried.still_unsigned), (0, 2));

        world
            .app
            .signers
            .keep(&"k1".parse().expect("an id"), "software://", &sound)
            .await;
        let tried = world
            .app
            .retry_attestations(Retry { last_seconds: None })
            .await
            .expect("tried");
        assert_eq!((tried.signed, world.ledger_entries().await), (2, 2));
        for id in [one.id, two.id] {
            assert_eq!(world.verify(&id).await.verdict, "PASS");
        }
    }
}

/// A change of trust has no idempotency key to be repeated with.
#[tokio::test]
async fn where_it_is_not_known_whether_trust_changed_the_audit_trail_tells() {
    let store = Arc::new(MemoryStore::default());
    let home = tempfile::tempdir().expect("a folder");
    let world = World::over(store.clone(), Settings::default(), home)
        .with_key()
        .await;
    store.lose_the_next_answer();
    let seven = SetConfig {
        value: "7".to_owned(),
        profile: None,
        lasts: None,
    };
    let error = world
        .app
        .set_config(&world.owner, "rotation.overlap_days", &seven)
        .await
        .expect_err("nobody knows");
    assert_eq!(error.code, "store.unknown-outcome");
    let next = error.next.expect("a way to find out");
    assert!(next.contains("stella audit query"), "{next}");
    // It had taken effect, and saying it again is safe.
    let again = world
        .app
        .set_config(&world.owner, "rotation.overlap_days", &seven)
        .await;
    assert_eq!(again.expect("set").value, "7");
    assert_eq!(world.app.trust_head().await.expect("trust").settings.len(), 1);
}
