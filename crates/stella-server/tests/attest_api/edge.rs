//! What comes in over HTTP, and what the on-call person sees.

use stella_core::api::attestations::{CreateAttestation, TestSign};
use stella_server::app::attest::AttestationQuery;
use stella_server::config::Settings;

use crate::PAD;
use crate::support::{World, about, base64, open_store, payload, sha256};

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
        force: Some(true),
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
        force: Some(true),
        ..about(PAD, "c", "openvex")
    };
    assert_eq!(
        world.create(nothing).await.expect_err("nothing to reuse").code,
        "statement.predicate"
    );
}

/// A durable write a request would cost more than the request itself.
#[tokio::test]
async fn the_use_of_a_token_is_noted_once_a_minute() {
    let world = World::ready().await;
    let request = serde_json::from_value(serde_json::json!({ "role": "verifier" })).expect("a request");
    let made = world
        .app
        .create_token(&world.owner, request)
        .await
        .expect("a token");
    let last_used = async || {
        world.app.list_tokens().await.expect("tokens").tokens[0]
            .last_used_at
            .clone()
    };
    assert_eq!(last_used().await, None);
    world.pass(1);
    world.app.token_caller(&made.secret).await.expect("whose it is");
    let first = last_used().await;
    assert_eq!(first, Some(world.now()));
    world.pass(59);
    world.app.token_caller(&made.secret).await.expect("whose it is");
    assert_eq!(last_used().await, first, "noted again within the minute");
    world.pass(1);
    world.app.token_caller(&made.secret).await.expect("whose it is");
    assert_eq!(last_used().await, Some(world.now()));
}

/// An envelope is longer than the request that asked for it: base64 grows, and
/// a signature is added. The bound is one of what comes in.
#[tokio::test]
async fn what_fits_into_a_request_is_verified_ever_after() {
    let mut settings = Settings::default();
    settings.limits.max_body_bytes = 64 * 1024;
    let world = World::with(settings).await.with_key().await;
    let request = CreateAttestation {
        predicate: Some(format!("{{\"log\":\"{}\"}}", "x".repeat(60_000))),
        ..about(PAD, "a", "openvex")
    };
    let body = serde_json::to_vec(&request).expect("JSON");
    let (status, made) = world.post("/v1/attestations", body, None).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        made["attestations"][0]["wouldVerify"]["verdict"], "PASS",
        "{made}"
    );
    let id = made["id"].as_str().expect("an id");
    assert_eq!(world.verify(id).await.verdict, "PASS");
    assert_eq!(world.gate("a", Some(PAD), &[]).await.verdict, "PASS");
    let details = world.app.show_attestation(id).await.expect("details");
    assert_eq!(details.signatures.len(), 1);
    assert!(world.app.check_integrity(id).await.expect("checked").intact);
    assert!(world.app.attestation_bundle(id).await.is_ok());
    let impact = world
        .app
        .key_impact("k1", Default::default())
        .await
        .expect("impact");
    assert_eq!((impact.attestations, impact.in_ledger), (1, 1));
}

/// Whoever lowers a bound means what comes in from now on.
#[tokio::test]
async fn a_bound_that_is_lowered_fails_nothing_that_passed() {
    let home = tempfile::tempdir().expect("a folder");
    let store = open_store(home.path()).await;
    let before = World::over(store.clone(), Settings::default(), home)
        .with_key()
        .await;
    let request = CreateAttestation {
        predicate: Some(format!("{{\"log\":\"{}\"}}", "x".repeat(8_000))),
        ..about(PAD, "a", "openvex")
    };
    let id = before.create(request).await.expect("created").id;

    let mut settings = Settings::default();
    settings.limits.max_body_bytes = 4 * 1024;
    let home = tempfile::tempdir().expect("a folder");
    let world = World::over(store, settings, home);
    world.pass(7_200);
    assert_eq!(world.verify(&id).await.verdict, "PASS");
    assert_eq!(world.gate("a", Some(PAD), &[]).await.verdict, "PASS");
    let integrity = world.app.check_integrity(&id).await.expect("checked");
    assert!(integrity.intact, "{integrity:?}");
}

/// Names come from whoever wrote the statement.
#[tokio::test]
async fn a_hostile_name_fills_no_log_and_runs_no_command() {
    let world = World::ready().await;
    let signed = async |name: &str| {
        let whole = payload(name, "a", "openvex");
        world.sign_outside("k1", &whole).await
    };
    let long = format!("pkg:{}", "x".repeat(1_000_000));
    let report = world.verify_bundle(signed(&long).await, None, None).await;
    assert_eq!(report.code, "subject.name", "{}", report.code);
    let log = world.app.read_logs(Default::default()).await.expect("the log");
    let [line] = log.lines.as_slice() else {
        panic!("one line")
    };
    assert!(line.message.len() + line.fields.to_string().len() < 10_000);

    let report = world.verify_bundle(signed("x:$(reboot)").await, None, None).await;
    assert_eq!(report.code, "anchor.none");
    let next = report.next.expect("a command");
    assert!(next.starts_with("stella anchor explain 'x:$(reboot)' "), "{next}");
    let told = world
        .app
        .explain_anchor("x';reboot;':y")
        .await
        .expect("explained");
    let next = told.next.expect("a command");
    assert_eq!(
        next,
        r"stella anchor create --purl-pattern 'x'\'';reboot;'\'':*' --key-ids KEY"
    );
}
