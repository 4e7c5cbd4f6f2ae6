//! Emergency key revocation, as the runbook has it.

use super::*;

const PAD: &str = "pkg:npm/left-pad@1.3.0";
const REVOKE: &str = "/v1/anchors/ALL/keys/key-2024-prod/revoke";

#[tokio::test]
async fn the_emergency_flow_from_the_theft_to_the_new_key() {
    let api = Api::runbook().await;
    let maven = "660f9500-f39c-51e5-b827-557766551111";
    api.anchor(maven, "pkg:maven/*", &["key-2024-prod"]).await;
    api.at("2024-06-01T00:00:00Z");
    let early = api.attest(PAD, "a").await;
    api.at("2024-07-01T00:00:00Z");
    let late = api.attest(PAD, "b").await;

    api.at("2024-08-01T00:00:00Z");
    let compromise = r#"{"reason": "compromise", "effectiveAt": "NOW"}"#;
    let rehearsal = r#"{"reason": "compromise", "effectiveAt": "NOW", "dryRun": true}"#;
    let would = api.ok(Method::POST, REVOKE, rehearsal).await;
    assert_eq!(
        (&would["attestations"], &would["flipped"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(api.key("key-2024-prod").await["status"], "active");

    let done = api.ok(Method::POST, REVOKE, compromise).await;
    assert_eq!(done["effectiveAt"], "2024-08-01T00:00:00Z");
    assert_eq!(texts(&done["anchors"]), [NPM, maven]);
    assert_eq!(texts(&done["emptied"]), [NPM, maven]);
    assert_eq!(done["endsSigning"], true);
    assert_eq!((&done["attestations"], &done["flipped"]), (&json!(2), &json!(2)));
    let next = texts(&done["next"]).join("\n");
    for said in [
        "nothing signs for profile default now: stella keys generate --profile default",
        "2 signatures by key-2024-prod are INDETERMINATE",
        "--reason compromise --compromised-since TIME",
        "stella keys impact key-2024-prod",
    ] {
        assert!(next.contains(said), "{said} in:\n{next}");
    }
    assert_eq!(api.key("key-2024-prod").await["status"], "compromised");
    let unknown = ("INDETERMINATE".to_owned(), "key.window-unknown".to_owned());
    assert_eq!(api.verdict(&early).await, unknown);

    // Steps 2 and 3.
    api.generate("emergency-key-20240801", "default").await;
    let added = api
        .ok(
            Method::POST,
            "/v1/anchors/ALL/keys",
            r#"{"keyid": "emergency-key-20240801"}"#,
        )
        .await;
    assert_eq!(texts(&added["addedTo"]), [NPM, maven]);
    let again = api.attest(PAD, "c").await;
    assert_eq!(api.verdict(&again).await.0, "PASS");

    // What the forensics say since when.
    let since = r#"{"reason": "compromise", "effectiveAt": "NOW", "compromisedSince": "2024-06-15"}"#;
    let stated = api.ok(Method::POST, REVOKE, since).await;
    assert!(!texts(&stated["next"]).join("\n").contains("INDETERMINATE"));
    assert_ne!(api.verdict(&late).await.0, "PASS");

    let impact = api
        .ok(Method::GET, "/v1/signer/keys/key-2024-prod/impact", "")
        .await;
    assert_eq!(impact["status"], "compromised");
    assert_eq!(
        (&impact["attestations"], &impact["inLedger"]),
        (&json!(2), &json!(2))
    );
    let rows = impact["rows"].as_array().expect("rows");
    let row = |id: &str| {
        rows.iter()
            .find(|r| r["attestationId"] == id)
            .expect("a row")
            .clone()
    };
    assert_eq!(row(&late)["before"], "PASS");
    assert_eq!(row(&late)["verdict"], "FAIL");
    assert_eq!(row(&late)["requestedBy"], "local:root");
    assert_eq!(row(&late)["subject"], PAD);
    assert_eq!(row(&early)["before"], "PASS");
}

#[tokio::test]
async fn saying_the_same_again_changes_nothing() {
    let api = Api::runbook().await;
    let compromise = r#"{"reason": "compromise"}"#;
    api.ok(Method::POST, REVOKE, compromise).await;
    let before = api.ok(Method::GET, "/v1/audit", "").await;
    let again = api.ok(Method::POST, REVOKE, compromise).await;
    assert!(texts(&again["anchors"]).is_empty());
    assert_eq!(api.ok(Method::GET, "/v1/audit", "").await, before);
}

/// The answer was lost on the way; the operator gives the command again.
#[tokio::test]
async fn a_revocation_that_is_repeated_is_answered_as_done() {
    let api = Api::runbook().await;
    api.generate("key-2025-prod", "default").await;
    api.ok(
        Method::POST,
        &format!("/v1/anchors/{NPM}/keys"),
        r#"{"keyid": "key-2025-prod"}"#,
    )
    .await;
    let revoke = format!("/v1/anchors/{NPM}/keys/key-2024-prod/revoke");
    for at_once in [
        r#"{"reason": "annual-rotation", "effectiveAt": "NOW"}"#,
        r#"{"reason": "annual-rotation"}"#,
    ] {
        api.at("2025-02-01T00:00:00Z");
        api.ok(Method::POST, &revoke, at_once).await;
        let before = api.ok(Method::GET, "/v1/audit", "").await;
        api.at("2025-02-01T00:05:00Z");
        let rehearsal = at_once.replace('{', r#"{"dryRun": true, "#);
        for body in [rehearsal.as_str(), at_once] {
            let again = api.ok(Method::POST, &revoke, body).await;
            assert_eq!(
                again["effectiveAt"], "2025-02-01T00:00:00Z",
                "since when it is revoked"
            );
            assert!(texts(&again["anchors"]).is_empty());
            assert!(texts(&again["next"])[0].contains("revoked already"), "{again}");
        }
        assert_eq!(api.ok(Method::GET, "/v1/audit", "").await, before);
    }
    let later = r#"{"reason": "annual-rotation", "effectiveAt": "2025-02-01T00:05:00Z"}"#;
    api.refused(Method::POST, &revoke, later, 409, "key.revocation-loosened")
        .await;
    let milder = r#"{"reason": "superseded"}"#;
    api.refused(Method::POST, &revoke, milder, 409, "key.revocation-loosened")
        .await;
}

#[tokio::test]
async fn what_a_thief_signed_elsewhere_is_found_by_its_signature() {
    let api = Api::runbook().await;
    let payload = support::payload(PAD, "d", "evidence.stella/v1");
    let stolen = api.world.sign_outside("key-2024-prod", &payload).await;
    let import = json!({ "document": stolen }).to_string();
    api.ok(Method::POST, "/v1/attestations/import", &import).await;
    let impact = api
        .ok(Method::GET, "/v1/signer/keys/key-2024-prod/impact", "")
        .await;
    assert_eq!(
        (&impact["attestations"], &impact["inLedger"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(impact["rows"][0]["inLedger"], false);
    assert!(texts(&impact["next"])[0].contains("stella keys revoke key-2024-prod --reason compromise"));

    let revoke = r#"{"reason": "compromise"}"#;
    let done = api
        .ok(Method::POST, "/v1/signer/keys/key-2024-prod/revoke", revoke)
        .await;
    assert_eq!((&done["attestations"], &done["flipped"]), (&json!(1), &json!(1)));
    let impact = api
        .ok(Method::GET, "/v1/signer/keys/key-2024-prod/impact", "")
        .await;
    assert_eq!(
        (&impact["fail"], &impact["rows"][0]["code"]),
        (&json!(1), &json!("ledger.unknown"))
    );
}

#[tokio::test]
async fn keys_revoke_is_every_anchor_and_the_end_of_signing() {
    let api = Api::runbook().await;
    api.generate("key-2025-prod", "default").await;
    api.ok(
        Method::POST,
        &format!("/v1/anchors/{NPM}/keys"),
        r#"{"keyid": "key-2025-prod"}"#,
    )
    .await;
    let done = api
        .ok(
            Method::POST,
            "/v1/signer/keys/key-2024-prod/revoke",
            r#"{"reason": "annual-rotation", "note": "ticket 7"}"#,
        )
        .await;
    assert_eq!(texts(&done["anchors"]), [NPM]);
    assert_eq!(done["endsSigning"], true);
    let key = api.key("key-2024-prod").await;
    assert_eq!(
        (&key["status"], &key["revokeReason"]),
        (&json!("revoked"), &json!("annual-rotation"))
    );
    assert_eq!(api.key("key-2025-prod").await["status"], "active");
}
