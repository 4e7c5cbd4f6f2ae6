//! The audit trail.

use super::*;

async fn types(api: &Api, query: &str) -> Vec<String> {
    let list = api.ok(Method::GET, &format!("/v1/audit{query}"), "").await;
    list["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|e| e["eventType"].as_str().expect("a type").to_owned())
        .collect()
}

async fn lived() -> Api {
    let api = Api::runbook().await;
    api.at("2024-12-31T23:59:59.999999Z");
    api.generate("key-2025-prod", "default").await;
    api.at("2025-01-01T00:00:00Z");
    api.ok(
        Method::POST,
        &format!("/v1/anchors/{NPM}/keys"),
        r#"{"keyid": "key-2025-prod"}"#,
    )
    .await;
    api
}

#[tokio::test]
async fn the_trail_is_newest_first_with_the_runbooks_fields() {
    let api = lived().await;
    assert_eq!(
        types(&api, "").await,
        [
            "KEY_ACTIVATED",
            "KEY_RETIRING",
            "KEY_ADDED",
            "KEY_GENERATED",
            "KEY_ADDED",
            "ANCHOR_CREATED",
            "KEY_ACTIVATED",
            "KEY_GENERATED"
        ]
    );
    let (_, list) = api.get("/v1/audit?type=KEY_ADDED&limit=1").await;
    let event = &list["events"][0];
    assert_eq!(event["keyId"], "key-2025-prod");
    assert_eq!(event["anchorId"], NPM);
    assert_eq!(event["actor"], "local:root");
    assert_eq!(event["timestamp"], "2025-01-01T00:00:00Z");
    assert_eq!(event["details"]["addedAt"], "2025-01-01T00:00:00Z");
    assert!(event["eventId"].as_str().is_some());
}

#[tokio::test]
async fn a_bare_date_is_the_whole_day_in_utc() {
    let api = lived().await;
    let year = "?type=KEY_*&from=2024-01-01&to=2024-12-31";
    assert_eq!(
        types(&api, year).await,
        ["KEY_GENERATED", "KEY_ADDED", "KEY_ACTIVATED", "KEY_GENERATED"]
    );
    assert_eq!(
        types(&api, "?from=2024-12-31&to=2024-12-31").await,
        ["KEY_GENERATED"]
    );
    assert_eq!(types(&api, "?from=2025-01-01").await.len(), 3);
    // A whole time is exclusive.
    assert_eq!(
        types(&api, "?to=2025-01-01T00:00:00Z&from=2024-12-31")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn filters_join_and_pages_follow_each_other() {
    let api = lived().await;
    assert_eq!(
        types(&api, "?keyId=key-2024-prod&type=KEY_RETIRING").await.len(),
        1
    );
    assert_eq!(types(&api, "?anchorId=550e8400&type=KEY_*").await.len(), 2);
    assert_eq!(types(&api, "?actor=nobody").await, Vec::<String>::new());
    assert_eq!(types(&api, "?type=key_added").await.len(), 2);
    let whole = types(&api, "").await;
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("?limit=3{cursor}");
        read.extend(types(&api, &query).await);
        let (_, page) = api.get(&format!("/v1/audit{query}")).await;
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(read, whole);
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let api = lived().await;
    for (query, status, code) in [
        ("type=KEY-1", 400, "audit.type"),
        ("type=*_ADDED", 400, "audit.type"),
        ("from=2025-01-02&to=2025-01-01", 400, "audit.range"),
        ("from=lately", 400, "time.syntax"),
        ("limit=many", 400, "query.syntax"),
        ("limit=0", 400, "list.limit"),
        ("limit=1001", 400, "list.limit"),
        ("cursor=x", 400, "list.cursor"),
        ("keyId=a%20b", 400, "key.id"),
        ("anchorId=ffff", 404, "anchor.unknown"),
    ] {
        api.refused(Method::GET, &format!("/v1/audit?{query}"), "", status, code)
            .await;
    }
    for path in ["/v1/logs", "/v1/proofs"] {
        let (status, answer) = api.get(&format!("{path}?limit=many")).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some("query.syntax")),
            "{path}: {answer}"
        );
        assert!(
            answer["detail"].as_str().expect("why").contains("limit"),
            "{answer}"
        );
    }
}
