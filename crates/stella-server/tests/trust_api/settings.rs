//! Settings: where a value comes from, and what may change while it runs.

use std::time::Duration;

use super::*;

const OVERLAP: &str = "/v1/signer/config/rotation.overlap_days";

#[tokio::test]
async fn run_time_beats_file_beats_default_and_unset_undoes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("signer.yaml");
    let yaml = "signer:\n  rotation:\n    overlap: 21d\n";
    std::fs::write(&file, yaml).expect("a file");
    let sources = stella_server::config::Sources {
        explicit: Some(file),
        ..Default::default()
    };
    let api = Api::with(stella_server::config::load(&sources).expect("settings")).await;

    let entry = api.ok(Method::GET, OVERLAP, "").await;
    assert_eq!(
        (&entry["value"], &entry["origin"]),
        (&json!("21"), &json!("file"))
    );
    assert!(
        entry["place"]
            .as_str()
            .expect("a place")
            .ends_with("signer.yaml:3")
    );
    let auto = api.ok(Method::GET, "/v1/signer/config/rotation.auto", "").await;
    assert_eq!(
        (&auto["value"], &auto["origin"]),
        (&json!("false"), &json!("default"))
    );

    let other_spelling = "/v1/signer/config/signer.rotation.overlapDays";
    let set = api.ok(Method::PUT, other_spelling, r#"{"value": "3"}"#).await;
    assert_eq!(set["key"], "rotation.overlap_days");
    assert_eq!((&set["value"], &set["origin"]), (&json!("3"), &json!("runtime")));
    let state = api.world.app.trust_head().await.expect("trust");
    assert_eq!(api.world.app.overlap(&state), Duration::from_secs(3 * 86_400));

    let (_, list) = api.get("/v1/signer/config?overridden=true").await;
    assert_eq!(list["entries"], json!([set]));
    let back = api.ok(Method::DELETE, OVERLAP, "").await;
    assert_eq!((&back["value"], &back["origin"]), (&json!("21"), &json!("file")));
    let (_, list) = api.get("/v1/signer/config?overridden=true").await;
    assert_eq!(list["entries"], json!([]));
}

#[tokio::test]
async fn every_change_is_an_event_and_saying_it_again_is_none() {
    let api = Api::empty().await;
    for _ in 0..2 {
        api.ok(Method::PUT, OVERLAP, r#"{"value": "7"}"#).await;
    }
    for _ in 0..2 {
        api.ok(Method::DELETE, OVERLAP, "").await;
    }
    let (_, audit) = api.get("/v1/audit?type=CONFIG_*").await;
    let events = audit["events"].as_array().expect("events");
    let told: Vec<_> = events
        .iter()
        .map(|e| {
            (
                e["eventType"].as_str().expect("a type"),
                &e["details"],
                &e["actor"],
            )
        })
        .collect();
    let (unset, set) = (
        json!({"key": "rotation.overlap_days"}),
        json!({"key": "rotation.overlap_days", "value": "7"}),
    );
    let actor = json!("local:root");
    assert_eq!(
        told,
        [("CONFIG_UNSET", &unset, &actor), ("CONFIG_SET", &set, &actor)]
    );
}

#[tokio::test]
async fn the_overlap_set_at_run_time_is_the_one_that_counts() {
    let api = Api::runbook().await;
    api.ok(Method::PUT, OVERLAP, r#"{"value": "2"}"#).await;
    api.generate("key-2025-prod", "default").await;
    api.ok(Method::POST, "/v1/signer/keys/key-2025-prod/activate", "")
        .await;
    api.at("2024-01-16T23:59:59Z");
    assert_eq!(api.key("key-2024-prod").await["status"], "retiring");
    api.at("2024-01-17T00:00:00Z");
    assert_eq!(api.key("key-2024-prod").await["status"], "retired");
}

#[tokio::test]
async fn signing_key_id_is_keys_activate_and_unset_takes_the_old_key_back() {
    let api = Api::runbook().await;
    let path = "/v1/signer/config/signing.key_id";
    let before = api.ok(Method::GET, path, "").await;
    assert_eq!(
        (&before["value"], &before["origin"]),
        (&json!("key-2024-prod"), &json!("default"))
    );
    api.generate("key-2025-backup", "default").await;
    let set = api.ok(Method::PUT, path, r#"{"value": "key-2025-backup"}"#).await;
    assert_eq!(
        (&set["value"], &set["origin"]),
        (&json!("key-2025-backup"), &json!("runtime"))
    );
    assert!(texts(&set["warnings"])[0].contains("does not hold key-2025-backup"));
    assert_eq!(api.key("key-2025-backup").await["status"], "active");
    assert_eq!(api.key("key-2024-prod").await["status"], "retiring");

    let unset = api.ok(Method::DELETE, path, "").await;
    assert_eq!(
        (&unset["value"], &unset["origin"]),
        (&json!("key-2024-prod"), &json!("default"))
    );
    assert!(texts(&unset["warnings"])[0].contains("key-2024-prod signs again"));
    assert_eq!(api.key("key-2024-prod").await["status"], "active");
}

#[tokio::test]
async fn a_signing_key_that_was_replaced_since_overrides_nothing() {
    let api = Api::runbook().await;
    let path = "/v1/signer/config/signing.key_id";
    api.ok(Method::PUT, path, r#"{"value": "key-2024-prod"}"#).await;
    api.generate("key-2025-prod", "default").await;
    api.ok(Method::POST, "/v1/signer/keys/key-2025-prod/activate", "")
        .await;
    let entry = api.ok(Method::GET, path, "").await;
    assert_eq!(
        (&entry["value"], &entry["origin"]),
        (&json!("key-2025-prod"), &json!("default"))
    );
    api.ok(Method::DELETE, path, "").await;
    assert_eq!(api.key("key-2025-prod").await["status"], "active");
}

#[tokio::test]
async fn software_signing_is_warned_about_and_a_store_nobody_has_is_refused() {
    let api = Api::empty().await;
    let path = "/v1/signer/config/signing.mode";
    let set = api.ok(Method::PUT, path, r#"{"value": "software"}"#).await;
    assert_eq!(
        texts(&set["warnings"]),
        ["Software signing may not meet compliance requirements"]
    );
    for mode in ["hsm", "kms"] {
        let body = json!({ "value": mode }).to_string();
        api.refused(Method::PUT, path, &body, 409, "config.no-such-store")
            .await;
    }
    assert_eq!(api.ok(Method::GET, path, "").await["value"], "software");
    let reloaded = api.ok(Method::POST, "/v1/reload", "").await;
    assert!(
        texts(&reloaded["warnings"]).contains(&"Software signing may not meet compliance requirements"),
        "{reloaded}"
    );
    let back = api.ok(Method::DELETE, path, "").await;
    assert_eq!(
        (&back["value"], &back["origin"]),
        (&json!("auto"), &json!("default"))
    );
}

#[tokio::test]
async fn what_may_not_be_set_is_refused_with_the_reason() {
    let api = Api::empty().await;
    for key in [
        "store.url",
        "server.listen",
        "hsm.modules.x.libraryPath",
        "profiles.fips.keyStore",
        "verify.requirePurl",
    ] {
        let path = format!("/v1/signer/config/{key}");
        let next = api
            .refused(Method::PUT, &path, r#"{"value": "x"}"#, 422, "config.file-only")
            .await;
        assert_eq!(next, "edit signer.yaml and restart the server");
    }
    let (status, answer) = api
        .call(
            Method::PUT,
            "/v1/signer/config/rotation.overlap_dayz",
            r#"{"value": "1"}"#,
        )
        .await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (404, Some("config.unknown-key"))
    );
    assert!(
        answer["detail"]
            .as_str()
            .expect("text")
            .contains("did you mean rotation.overlap_days?")
    );
    for (key, value) in [
        ("rotation.overlap_days", "0"),
        ("rotation.overlap_days", "two"),
        ("rotation.overlap_days", "-1"),
        ("rotation.auto", "yes"),
        ("rotation.activate", "sometimes"),
        ("signing.mode", "paper"),
    ] {
        let path = format!("/v1/signer/config/{key}");
        let body = json!({ "value": value }).to_string();
        api.refused(Method::PUT, &path, &body, 400, "config.value").await;
    }
    let body = r#"{"value": "nobody"}"#;
    api.refused(
        Method::PUT,
        "/v1/signer/config/signing.key_id",
        body,
        404,
        "key.unknown",
    )
    .await;
    let (_, audit) = api.get("/v1/audit").await;
    assert_eq!(audit["events"], json!([]));
}

#[tokio::test]
async fn the_list_has_profiles_and_says_what_may_be_set() {
    let api = Api::empty().await;
    let (_, list) = api.get("/v1/signer/config").await;
    let entries = list["entries"].as_array().expect("entries");
    let of = |key: &str| {
        entries
            .iter()
            .find(|e| e["key"] == key)
            .unwrap_or_else(|| panic!("no {key}"))
    };
    assert_eq!(of("rotation.overlap_days")["runtime"], true);
    assert_eq!(of("store.url")["runtime"], false);
    assert_eq!(of("profiles.fips.algorithm")["value"], "SHA256-ECDSA-P256");
    let one = api
        .ok(Method::GET, "/v1/signer/config/profiles.default.keyStore", "")
        .await;
    assert_eq!(
        (&one["value"], &one["origin"]),
        (&json!("software://"), &json!("default"))
    );
}
