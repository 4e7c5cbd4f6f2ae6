//! Anchors: made, changed, explained.

use super::*;

#[tokio::test]
async fn an_anchor_is_shown_in_the_runbooks_structure() {
    let api = Api::runbook().await;
    let create = json!({
        "purlPattern": "pkg:npm/@acme/*",
        "allowedKeyids": ["key-2024-prod"],
        "allowedPredicateTypes": ["evidence.stella/v1", "reasoning.stella/v1"],
    });
    let (status, anchor) = api.post("/v1/anchors", &create.to_string()).await;
    assert_eq!(status, 201);
    assert_eq!(anchor["purlPattern"], "pkg:npm/%40acme/*");
    assert_eq!(texts(&anchor["allowedKeyids"]), ["key-2024-prod"]);
    assert_eq!(
        texts(&anchor["allowedPredicateTypes"]),
        ["evidence.stella/v1", "reasoning.stella/v1"]
    );
    assert_eq!(anchor["revokedKeys"], json!([]));
    assert_eq!(anchor["status"], "active");
    let id = anchor["trustAnchorId"].as_str().expect("an id");
    let (_, shown) = api.get(&format!("/v1/anchors/{id}")).await;
    assert_eq!(shown, anchor);
    let (_, list) = api.get("/v1/anchors").await;
    assert_eq!(list["anchors"].as_array().expect("anchors").len(), 2);
}

#[tokio::test]
async fn only_what_is_given_changes_and_each_change_is_told_with_its_note() {
    let api = Api::runbook().await;
    let path = format!("/v1/anchors/{NPM}");
    let change =
        r#"{"allowedPredicateTypes": [], "threshold": 2, "requireEvidence": "attested", "note": "audit 12"}"#;
    let changed = api.ok(Method::PATCH, &path, change).await;
    assert_eq!(
        (&changed["allowedPredicateTypes"], &changed["threshold"]),
        (&json!([]), &json!(2))
    );
    assert_eq!(changed["policyVersion"], "v1.0.2");
    let eased = r#"{"allowAllPredicateTypes": true, "requireEvidence": "none"}"#;
    let eased = api.ok(Method::PATCH, &path, eased).await;
    assert_eq!(eased.get("allowedPredicateTypes"), None);
    assert_eq!(eased.get("requireEvidence"), None);
    assert_eq!(eased["threshold"], 2);
    // Nothing new: nothing recorded.
    let same = api.ok(Method::PATCH, &path, r#"{"threshold": 2}"#).await;
    assert_eq!(same["policyVersion"], eased["policyVersion"]);
    let (_, audit) = api.get("/v1/audit?type=ANCHOR_UPDATED").await;
    assert_eq!(audit["events"].as_array().expect("events").len(), 2);
    assert_eq!(audit["events"][1]["details"]["note"], "audit 12");
}

#[tokio::test]
async fn a_disabled_anchor_still_decides_and_fails() {
    let api = Api::runbook().await;
    let id = api.attest("pkg:npm/left-pad@1.3.0", "a").await;
    let path = format!("/v1/anchors/{NPM}");
    let off = api
        .ok(
            Method::PATCH,
            &path,
            r#"{"status": "disabled", "note": "incident 4"}"#,
        )
        .await;
    assert_eq!(off["status"], "disabled");
    assert_eq!(api.verdict(&id).await.1, "anchor.disabled");
    let (_, audit) = api.get("/v1/audit?type=ANCHOR_DISABLED").await;
    assert_eq!(audit["events"][0]["details"]["note"], "incident 4");
    let (_, why) = api.get("/v1/anchors/explain?name=pkg:npm/left-pad@1.3.0").await;
    assert!(
        why["candidates"][0]["why"]
            .as_str()
            .expect("text")
            .contains("disabled")
    );
    assert!(why["next"].as_str().expect("text").contains(NPM));
    api.ok(Method::PATCH, &path, r#"{"status": "active"}"#).await;
    assert_eq!(api.verdict(&id).await.0, "PASS");
}

#[tokio::test]
async fn explain_names_the_winner_the_losers_and_the_near_misses() {
    let api = Api::runbook().await;
    let acme = "770f9500-f39c-51e5-b827-557766551111";
    let all = "880f9500-f39c-51e5-b827-557766551111";
    let ghcr = "990f9500-f39c-51e5-b827-557766551111";
    api.anchor(acme, "pkg:npm/@acme/*", &[]).await;
    api.anchor(all, "*", &[]).await;
    api.anchor(ghcr, "pkg:oci/*?repository_url=ghcr.io/acme/*", &[])
        .await;
    let explain = async |name: &str| {
        let (status, answer) = api.get(&format!("/v1/anchors/explain?name={name}")).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let why = |answer: &Value, id: &str| {
        let rows = answer["candidates"].as_array().expect("rows");
        rows.iter()
            .find(|r| r["anchorId"] == id)
            .map(|r| r["why"].as_str().expect("text").to_owned())
    };

    let scoped = explain("pkg:npm/@acme/web@1.0.0").await;
    assert_eq!(scoped["canonical"], "pkg:npm/%40acme/web@1.0.0");
    assert_eq!(texts(&scoped["deciding"]), [acme]);
    assert_eq!(
        why(&scoped, acme).as_deref(),
        Some("the most specific of the 3 anchors that match")
    );
    assert_eq!(
        why(&scoped, NPM).as_deref(),
        Some("matches, but pkg:npm/%40acme/* is more specific and decides alone")
    );

    let near = explain("pkg:npm/@acm/web").await;
    assert_eq!(texts(&near["deciding"]), [NPM]);
    assert!(
        why(&near, acme)
            .expect("a near miss")
            .contains("agrees as far as pkg:npm/%40acm")
    );

    let nowhere = explain("pkg:oci/app").await;
    assert!(
        why(&nowhere, ghcr)
            .expect("a near miss")
            .contains("the name does not say so")
    );
    let elsewhere = explain("pkg:npm/left-pad?repository_url=evil.example").await;
    assert!(
        why(&elsewhere, NPM)
            .expect("a near miss")
            .contains("where it comes from")
    );
}

#[tokio::test]
async fn where_nothing_decides_the_next_command_would_make_it() {
    let api = Api::runbook().await;
    for (name, next) in [
        (
            "pkg:maven/org.apache/commons",
            "stella anchor create --purl-pattern 'pkg:maven/*' --key-ids KEY",
        ),
        (
            "test:smoke",
            "stella anchor create --purl-pattern 'test:*' --key-ids KEY",
        ),
    ] {
        let (_, answer) = api.get(&format!("/v1/anchors/explain?name={name}")).await;
        assert_eq!(answer["deciding"], json!([]));
        assert_eq!(answer["next"], next);
    }
}
