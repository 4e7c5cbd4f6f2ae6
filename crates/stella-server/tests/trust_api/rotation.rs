//! The key-rotation runbook, steps 1 to 4, by its curl lines.

use super::*;

const PAD: &str = "pkg:npm/left-pad@1.3.0";

async fn rotated() -> (Api, String, String) {
    let api = Api::runbook().await;
    api.at("2025-01-10T00:00:00Z");
    let old = api.attest(PAD, "a").await;
    api.at("2025-01-11T00:00:00Z");
    let generate = r#"{"profile": "default", "keyId": "key-2025-prod", "algorithm": "SHA256-ED25519"}"#;
    let (status, key) = api.post("/v1/signer/keys", generate).await;
    assert_eq!((status, key["status"].as_str()), (201, Some("pending")));
    let add = r#"{"keyid": "key-2025-prod", "publicKey": ""}"#;
    let added = api.ok(Method::POST, "/v1/anchors/550e8400.../keys", add).await;
    assert_eq!(texts(&added["addedTo"]), [NPM]);
    assert_eq!(added["activated"], true);
    assert_eq!(added["outgoing"], "key-2024-prod");
    api.at("2025-01-12T00:00:00Z");
    let new = api.attest(PAD, "b").await;
    (api, old, new)
}

#[tokio::test]
async fn adding_the_new_key_rotates_and_old_proofs_stand() {
    let (api, old, new) = rotated().await;
    assert_eq!(api.key("key-2024-prod").await["status"], "retiring");
    assert_eq!(api.key("key-2025-prod").await["status"], "active");
    for id in [&old, &new] {
        assert_eq!(api.verdict(id).await.0, "PASS");
    }
    let status = api.ok(Method::GET, "/v1/anchors/550e8400.../status", "").await;
    assert_eq!(texts(&status["activeKeys"]), ["key-2024-prod", "key-2025-prod"]);
    assert_eq!(status["successRatePercent"], 100.0);
    assert_eq!(status["judged"], 2);
    assert_eq!(status["pendingRescans"], 0);
}

#[tokio::test]
async fn the_overlap_ends_by_itself() {
    let (api, ..) = rotated().await;
    api.at("2025-01-24T23:59:59Z");
    assert_eq!(api.key("key-2024-prod").await["status"], "retiring");
    api.at("2025-01-25T00:00:00Z");
    assert_eq!(api.key("key-2024-prod").await["status"], "retired");
}

#[tokio::test]
async fn step_four_revokes_the_old_key_and_keeps_what_it_signed_before() {
    let (api, old, new) = rotated().await;
    api.at("2025-02-10T00:00:00Z");
    let revoke = r#"{"reason": "annual-rotation", "effectiveAt": "2025-02-01T00:00:00Z"}"#;
    let path = "/v1/anchors/550e8400.../keys/key-2024-prod/revoke";
    let done = api.ok(Method::POST, path, revoke).await;
    assert_eq!(texts(&done["anchors"]), [NPM]);
    assert_eq!((&done["attestations"], &done["flipped"]), (&json!(1), &json!(0)));
    assert_eq!(done["endsSigning"], false);
    for id in [&old, &new] {
        assert_eq!(api.verdict(id).await.0, "PASS");
    }

    let anchor = api.ok(Method::GET, &format!("/v1/anchors/{NPM}"), "").await;
    assert_eq!(texts(&anchor["allowedKeyids"]), ["key-2025-prod"]);
    assert_eq!(texts(&anchor["revokedKeys"]), ["key-2024-prod"]);
    let history = &anchor["keyHistory"][0];
    assert_eq!(history["keyid"], "key-2024-prod");
    assert_eq!(history["addedAt"], "2024-01-15T00:00:00Z");
    assert_eq!(history["revokedAt"], "2025-02-01T00:00:00Z");
    assert_eq!(history["revokeReason"], "annual-rotation");
    assert_eq!(anchor["policyVersion"], "v1.0.3");
}

#[tokio::test]
async fn a_revocation_from_before_a_signature_takes_it_along_and_status_rescans() {
    let (api, old, new) = rotated().await;
    api.verdict(&old).await;
    api.verdict(&new).await;
    let revoke = r#"{"reason": "superseded", "effectiveAt": "2025-01-05"}"#;
    let path = format!("/v1/anchors/{NPM}/keys/key-2024-prod/revoke");
    let done = api.ok(Method::POST, &path, revoke).await;
    assert_eq!((&done["attestations"], &done["flipped"]), (&json!(1), &json!(1)));
    let status = api
        .ok(Method::GET, &format!("/v1/anchors/{NPM}/status"), "")
        .await;
    assert_eq!(status["successRatePercent"], 50.0);
    assert_eq!(status["pendingRescans"], 0);
    assert_eq!(texts(&status["activeKeys"]), ["key-2025-prod"]);
}

#[tokio::test]
async fn what_is_judged_anew_is_bounded_and_the_rest_is_pending() {
    let mut settings = Settings::default();
    settings.limits.max_rejudged = 1;
    let api = Api::with(settings).await;
    api.generate("k1", "default").await;
    api.anchor(NPM, "pkg:npm/*", &["k1"]).await;
    for digit in ["1", "2", "3"] {
        let id = api.attest(PAD, digit).await;
        api.verdict(&id).await;
    }
    api.ok(
        Method::PATCH,
        &format!("/v1/anchors/{NPM}"),
        r#"{"requireLedger": true}"#,
    )
    .await;
    for pending in [2, 1, 0, 0] {
        let status = api
            .ok(Method::GET, &format!("/v1/anchors/{NPM}/status"), "")
            .await;
        assert_eq!(status["pendingRescans"], pending);
        assert_eq!(status["judged"], 3 - pending);
        assert_eq!(status["successRatePercent"], 100.0);
    }
    let impact = api.ok(Method::GET, "/v1/signer/keys/k1/impact", "").await;
    assert_eq!(
        (&impact["attestations"], &impact["cut"]),
        (&json!(1), &json!(true))
    );
}

#[tokio::test]
async fn a_pending_key_waits_until_every_anchor_holds_it() {
    let api = Api::runbook().await;
    let maven = "660f9500-f39c-51e5-b827-557766551111";
    api.anchor(maven, "pkg:maven/*", &["key-2024-prod"]).await;
    api.generate("key-2025-prod", "default").await;
    let add = r#"{"keyid": "key-2025-prod"}"#;
    let first = api.ok(Method::POST, "/v1/anchors/550e/keys", add).await;
    assert_eq!(first["activated"], false);
    assert_eq!(texts(&first["lackingAnchors"]), [maven]);
    let rehearsal = r#"{"keyid": "key-2025-prod", "dryRun": true}"#;
    let would = api.ok(Method::POST, "/v1/anchors/ALL/keys", rehearsal).await;
    assert_eq!(
        (&would["activated"], &would["dryRun"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(api.key("key-2025-prod").await["status"], "pending");

    let all = api.ok(Method::POST, "/v1/anchors/ALL/keys", add).await;
    assert_eq!(texts(&all["addedTo"]), [maven]);
    assert_eq!(texts(&all["heldAlready"]), [NPM]);
    assert_eq!(all["activated"], true);
    assert_eq!(api.key("key-2025-prod").await["status"], "active");
}

#[tokio::test]
async fn with_manual_activation_a_key_waits_to_be_told_and_the_way_back_is_open() {
    let api = Api::runbook().await;
    let config = "/v1/signer/config/rotation.activate";
    api.ok(Method::PUT, config, r#"{"value": "manual"}"#).await;
    api.generate("key-2025-prod", "default").await;
    let warned = api
        .ok(Method::POST, "/v1/signer/keys/key-2025-prod/activate", "")
        .await;
    assert_eq!(texts(&warned["lackingAnchors"]), [NPM]);
    assert!(texts(&warned["warnings"])[0].contains("stella anchor add-key --anchor-id 550e8400"));
    let back = api
        .ok(Method::POST, "/v1/signer/keys/key-2024-prod/activate", "")
        .await;
    assert_eq!(
        (&back["status"], &back["outgoing"]),
        (&json!("active"), &json!("key-2025-prod"))
    );

    let add = r#"{"keyid": "key-2025-prod"}"#;
    let added = api
        .ok(Method::POST, &format!("/v1/anchors/{NPM}/keys"), add)
        .await;
    assert_eq!(added["activated"], false);
    assert_eq!(api.key("key-2024-prod").await["status"], "active");
}

#[tokio::test]
async fn one_transaction_adds_a_foreign_key_and_its_end() {
    let api = Api::runbook().await;
    let other = Api::empty().await;
    other.generate("theirs", "fips").await;
    let public = other.key("theirs").await["publicKey"].clone();
    let add = json!({"keyid": "partner-2023", "publicKey": public, "expiresAt": "2024-12-31"});
    let added = api
        .ok(Method::POST, &format!("/v1/anchors/{NPM}/keys"), &add.to_string())
        .await;
    assert_eq!(added["activated"], false);
    let key = api.key("partner-2023").await;
    assert_eq!((&key["status"], &key["publicKey"]), (&json!("external"), &public));
    let anchor = api.ok(Method::GET, &format!("/v1/anchors/{NPM}"), "").await;
    // A bare date is the whole day.
    assert_eq!(anchor["keyHistory"][1]["expiresAt"], "2025-01-01T00:00:00Z");
    let events = api.ok(Method::GET, "/v1/audit?keyId=partner-2023", "").await;
    let types: Vec<_> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|e| e["eventType"].as_str().expect("a type"))
        .collect();
    assert_eq!(types, ["KEY_ADDED", "KEY_IMPORTED"]);
}
