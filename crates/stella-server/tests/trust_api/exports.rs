//! What offline verifiers take along: numbered, signed by the feed keys, and
//! made to be carried from one feed key to the next.

use std::collections::BTreeSet;

use stella_core::bundle::trust::{SignedBundle, TrustBundle, TrustRoot};

use super::*;

const ROOT: &str = "/v1/trust/root";
const BUNDLE: &str = "/v1/trust/bundle";

async fn with_feed_key() -> Api {
    let api = Api::runbook().await;
    feed_key(&api, "feed-1").await;
    api
}

async fn feed_key(api: &Api, id: &str) {
    let body = json!({"keyId": id, "type": "feed"}).to_string();
    let key = api.ok(Method::POST, "/v1/signer/keys", &body).await;
    assert_eq!(
        (key["type"].as_str(), key["status"].as_str()),
        (Some("feed"), Some("active")),
        "{key}"
    );
}

async fn root(api: &Api) -> TrustRoot {
    let answer = api.ok(Method::GET, ROOT, "").await;
    TrustRoot::parse(document(&answer).as_bytes()).expect("a root")
}

async fn export(api: &Api) -> (Value, String) {
    let answer = api.ok(Method::POST, BUNDLE, "").await;
    let document = document(&answer);
    (answer, document)
}

fn document(answer: &Value) -> String {
    answer["document"].as_str().expect("a document").to_owned()
}

fn open(document: &str, root: &TrustRoot) -> SignedBundle {
    SignedBundle::open(document.as_bytes(), root).expect("a bundle of this root")
}

#[tokio::test]
async fn without_a_feed_key_the_next_command_makes_one() {
    let api = Api::runbook().await;
    for (method, path) in [(Method::GET, ROOT), (Method::POST, BUNDLE)] {
        let next = api.refused(method, path, "", 404, "trust.no-feed-key").await;
        assert_eq!(next, "stella keys generate --type feed");
    }
    let events = api.ok(Method::GET, "/v1/audit?type=TRUST_EXPORTED", "").await;
    assert_eq!(events["events"], json!([]), "nothing was exported");
}

#[tokio::test]
async fn the_bundle_is_what_is_trusted_at_its_number() {
    let api = with_feed_key().await;
    let (answer, bytes) = export(&api).await;
    let signed = open(&bytes, &root(&api).await);
    let bundle = &signed.bundle;
    assert_eq!(answer["number"], bundle.number);
    assert_eq!(answer["signedBy"], json!(["feed-1"]));
    assert_eq!(bundle.issued_at.to_string(), "2024-01-15T00:00:00Z");
    assert_eq!(bundle.expires_at.to_string(), "2024-01-29T00:00:00Z", "14 days");
    let anchors: Vec<String> = bundle.trust.anchors.keys().map(ToString::to_string).collect();
    assert_eq!(anchors, [NPM]);
    let keys: Vec<&str> = bundle.trust.keys.keys().map(|k| k.as_str()).collect();
    assert_eq!(keys, ["feed-1", "key-2024-prod"]);
    // The event says so, and the chain that is told covers it.
    let events = api.ok(Method::GET, "/v1/audit?type=TRUST_EXPORTED", "").await;
    let event = &events["events"][0];
    assert_eq!(event["details"]["expiresAt"], "2024-01-29T00:00:00Z");
    assert_eq!(event["actor"], "local:root");
    let report = api.ok(Method::POST, "/v1/db/verify", "").await;
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["chainHead"], bundle.log.hash.to_hex());
    assert_eq!((bundle.log.events, bundle.log.entries), (bundle.number, 0));
}

#[tokio::test]
async fn each_bundle_has_a_number_of_its_own() {
    let api = Arc::new(with_feed_key().await);
    let exports: Vec<_> = (0..12)
        .map(|_| {
            let api = Arc::clone(&api);
            tokio::spawn(async move { export(&api).await.0["number"].as_u64().expect("a number") })
        })
        .collect();
    let mut numbers = BTreeSet::new();
    for export in exports {
        numbers.insert(export.await.expect("an export"));
    }
    assert_eq!(numbers.len(), 12, "{numbers:?}");
    let later = export(&api).await.0["number"].as_u64().expect("a number");
    assert!(numbers.iter().all(|n| *n < later));
    // Nor does a server that starts again begin anew.
    let api = Arc::into_inner(api).expect("nobody else exports");
    let root_before = api.ok(Method::GET, ROOT, "").await["document"].clone();
    let api = Api {
        world: api.world.restarted().await,
    };
    let restarted = export(&api).await.0["number"].as_u64().expect("a number");
    assert!(restarted > later, "{later} {restarted}");
    assert_eq!(api.ok(Method::GET, ROOT, "").await["document"], root_before);
}

#[tokio::test]
async fn a_bundle_that_was_not_signed_leaves_its_number_unused() {
    let api = with_feed_key().await;
    let before = export(&api).await.0["number"].as_u64().expect("a number");
    let whole = api.world.break_key("feed-1", support::Fault::Down).await;
    let (status, answer) = api.post(BUNDLE, "").await;
    assert_eq!(status, 503, "{answer}");
    api.world
        .app
        .signers
        .keep(&"feed-1".parse().expect("an id"), "software://", &whole)
        .await;
    let after = export(&api).await.0["number"].as_u64().expect("a number");
    assert!(after > before + 1, "{before} {after}");
}

#[tokio::test]
async fn the_life_of_a_bundle_is_bounded() {
    let api = with_feed_key().await;
    let day = 86_400;
    let asked = async |days: u64| {
        let body = json!({"expiresInSeconds": days * day}).to_string();
        api.post(BUNDLE, &body).await
    };
    let (status, answer) = asked(1).await;
    assert_eq!(
        (status, answer["expiresAt"].as_str()),
        (201, Some("2024-01-16T00:00:00Z"))
    );
    for days in [0, 91] {
        let (status, answer) = asked(days).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some("trust.expires")));
    }
    assert_eq!(asked(90).await.0, 201);
}

#[tokio::test]
async fn one_feed_key_follows_another_without_a_verifier_left_behind() {
    let api = with_feed_key().await;
    let first = root(&api).await;
    assert_eq!(
        api.ok(Method::GET, ROOT, "").await["document"],
        api.ok(Method::GET, ROOT, "").await["document"],
        "the same keys, the same bytes"
    );
    let stuck = api
        .refused(
            Method::POST,
            "/v1/signer/keys/feed-1/retire",
            "",
            409,
            "key.active",
        )
        .await;
    assert!(stuck.contains("keys generate --type feed"), "{stuck}");
    feed_key(&api, "feed-2").await;
    // Both sign, so that whoever pins the first root is served as before.
    let both = root(&api).await;
    assert_eq!(both.follows(&first), Ok(()));
    let (_, bytes) = export(&api).await;
    assert_eq!(open(&bytes, &first).signed_by, ["feed-1".parse().expect("an id")]);
    assert_eq!(open(&bytes, &both).signed_by.len(), 2);
    // The old one goes; who has pinned the new root notices nothing.
    api.ok(Method::POST, "/v1/signer/keys/feed-1/retire", "").await;
    let (_, bytes) = export(&api).await;
    assert_eq!(open(&bytes, &both).signed_by, ["feed-2".parse().expect("an id")]);
    assert!(SignedBundle::open(bytes.as_bytes(), &first).is_err());
    let last = root(&api).await;
    assert_eq!(last.follows(&both), Ok(()));
    assert!(last.follows(&first).is_err(), "the first key never signed it");
}

/// A verifier who pins the old root must not be left behind unnoticed.
#[tokio::test]
async fn a_feed_key_past_its_time_is_followed_by_somebodys_decision_alone() {
    let api = with_feed_key().await;
    let first = root(&api).await;
    api.at("2024-12-31T00:00:00Z");
    feed_key(&api, "feed-2").await;
    let both = root(&api).await;
    api.at("2025-01-16T00:00:00Z");
    let (answer, bytes) = export(&api).await;
    assert_eq!(answer["signedBy"], json!(["feed-2"]));
    open(&bytes, &both);
    assert_eq!(
        root(&api).await.content(),
        both.content(),
        "no event, no other root"
    );
    assert!(SignedBundle::open(bytes.as_bytes(), &first).is_err());
    api.refused(
        Method::POST,
        "/v1/signer/keys/feed-2/retire",
        "",
        409,
        "key.active",
    )
    .await;
    api.at("2026-06-01T00:00:00Z");
    for (method, path) in [(Method::GET, ROOT), (Method::POST, BUNDLE)] {
        let next = api.refused(method, path, "", 409, "trust.feed-keys-ended").await;
        assert!(next.contains("bring that root to each verifier"), "{next}");
    }
}

#[tokio::test]
async fn a_stolen_feed_key_signs_no_more() {
    let api = with_feed_key().await;
    feed_key(&api, "feed-2").await;
    let first = root(&api).await;
    let body = r#"{"reason": "compromise", "compromisedSince": "2024-01-10"}"#;
    api.ok(Method::POST, "/v1/signer/keys/feed-1/revoke", body).await;
    let (answer, bytes) = export(&api).await;
    assert_eq!(answer["signedBy"], json!(["feed-2"]));
    assert_eq!(open(&bytes, &first).signed_by.len(), 1);
}

#[tokio::test]
async fn feed_keys_sign_no_statement_and_signing_keys_no_bundle() {
    let api = Api::empty().await;
    api.at("2024-01-15T00:00:00Z");
    feed_key(&api, "feed-1").await;
    // The profile still has no key to sign statements with.
    let created = api
        .world
        .create(about("pkg:npm/x@1", "a", "evidence.stella/v1"))
        .await
        .expect("recorded");
    assert_eq!(created.attestations[0].state, "recorded");
    api.refused(
        Method::POST,
        "/v1/signer/keys/feed-1/activate",
        "",
        409,
        "key.not-a-signing-key",
    )
    .await;
    api.generate("key-1", "default").await;
    let (answer, _) = export(&api).await;
    assert_eq!(answer["signedBy"], json!(["feed-1"]));
}

#[tokio::test]
async fn who_may_take_trust_along() {
    let api = with_feed_key().await;
    for (role, root, bundle) in [
        (Role::Admin, 200, 201),
        (Role::KeyAdmin, 200, 201),
        (Role::Verifier, 200, 201),
        (Role::Auditor, 200, 201),
        (Role::Approver, 200, 403),
        (Role::Signer, 403, 403),
    ] {
        let caller = by(role);
        assert_eq!(
            api.call_as(&caller, Method::GET, ROOT, "").await.0,
            root,
            "{role}"
        );
        assert_eq!(
            api.call_as(&caller, Method::POST, BUNDLE, "").await.0,
            bundle,
            "{role}"
        );
    }
    // Whoever asks over the network gets the rules of the network.
    let answer = api.call_as(&by(Role::Verifier), Method::POST, BUNDLE, "").await.1;
    let strict = TrustBundle::read_unchecked(document(&answer).as_bytes()).expect("reads");
    assert!(strict.policy.require_purl);
    let (_, local) = export(&api).await;
    assert!(
        !TrustBundle::read_unchecked(local.as_bytes())
            .expect("reads")
            .policy
            .require_purl
    );
}
