//! Keys: brought in, tried, asked about.

use stella_keys::Sign as _;
use stella_keys::software::{SoftwareKey, SoftwareStore};

use super::*;

/// RFC 8410 section 10.3.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

#[tokio::test]
async fn an_imported_private_key_signs_and_is_never_told_again() {
    let api = Api::empty().await;
    let import = json!({
        "keyId": "ceremony", "profile": "default", "privateKey": PRIVATE, "publicKey": PUBLIC,
        "createdAt": "2024-12-01",
    });
    let (status, key) = api.post("/v1/signer/keys/import", &import.to_string()).await;
    assert_eq!((status, key["status"].as_str()), (201, Some("active")));
    assert_eq!(key["createdAt"], "2024-12-01T00:00:00Z");
    assert_eq!(key["notAfter"], "2025-12-01T00:00:00Z");
    api.anchor(NPM, "pkg:npm/*", &["ceremony"]).await;
    let id = api.attest("pkg:npm/left-pad@1.3.0", "a").await;
    assert_eq!(api.verdict(&id).await.0, "PASS");

    let secret = PRIVATE.lines().nth(1).expect("a line");
    for path in ["/v1/signer/keys/ceremony", "/v1/audit", "/v1/logs"] {
        let (_, answer) = api.get(path).await;
        assert!(!answer.to_string().contains(&secret[20..]), "{path}");
    }
    let request: stella_core::api::keys::ImportKey = serde_json::from_value(import).expect("a request");
    assert!(!format!("{request:?}").contains(&secret[20..]));
}

#[tokio::test]
async fn a_public_key_alone_verifies_and_never_signs() {
    let api = Api::empty().await;
    let import = json!({"keyid": "partner", "publicKey": PUBLIC});
    let (status, key) = api.post("/v1/signer/keys/import", &import.to_string()).await;
    assert_eq!((status, key["status"].as_str()), (201, Some("external")));
    for verb in ["activate", "retire", "verify"] {
        let path = format!("/v1/signer/keys/partner/{verb}");
        api.refused(Method::POST, &path, "", 409, "key.external").await;
    }
    let set = r#"{"value": "partner"}"#;
    api.refused(
        Method::PUT,
        "/v1/signer/config/signing.key_id",
        set,
        409,
        "key.external",
    )
    .await;
}

/// A key that gost-engine made, as RFC 9215 section 4.2 lets it be written:
/// its curve under the older name and under the newer one.
const GOST: [&str; 2] = [
    "MGYwHwYIKoUDBwEBAQEwEwYHKoUDAgIjAQYIKoUDBwEBAgIDQwAEQKJvG8DPc35/oOkogcQ2VbDHwo9/CMRgEyg9mT6IR5qo8SKcZ9kAG2OIcAohlDfpWvhyXqcN00/Rfz/H/AQpDiQ=",
    "MF4wFwYIKoUDBwEBAQEwCwYJKoUDBwECAQECA0MABECibxvAz3N+f6DpKIHENlWwx8KPfwjEYBMoPZk+iEeaqPEinGfZABtjiHAKIZQ36Vr4cl6nDdNP0X8/x/wEKQ4k",
];

#[tokio::test]
async fn a_key_is_not_entered_twice_under_two_names_of_its_curve() {
    for (first, second) in [(0, 1), (1, 0)] {
        let api = Api::empty().await;
        let import = json!({"keyId": "partner", "publicKey": GOST[first]});
        let (status, key) = api.post("/v1/signer/keys/import", &import.to_string()).await;
        assert_eq!(status, 201, "{key}");
        assert_eq!(key["algorithm"], "GOST-R-34.10-2012");
        assert!(key["notes"][0].as_str().expect("a note").starts_with("unaudited"));
        let again = json!({"keyId": "partner-2", "publicKey": GOST[second]});
        api.refused(
            Method::POST,
            "/v1/signer/keys/import",
            &again.to_string(),
            409,
            "key.same-material",
        )
        .await;
    }
}

#[tokio::test]
async fn an_import_that_makes_no_sense_is_refused_with_what_would() {
    let api = Api::empty().await;
    let p256: stella_core::alg::Algorithm = "p256".parse().expect("an algorithm");
    let other: SoftwareKey = stella_keys::Generate::generate(&SoftwareStore, p256).expect("a key");
    let strange = other.public_key().spki_base64();
    for (import, status, code, next) in [
        (json!({"keyId": "k"}), 400, "key.import-nothing", "--public-key"),
        (
            json!({"keyId": "k", "publicKey": ""}),
            400,
            "key.import-nothing",
            "--public-key",
        ),
        (
            json!({"keyId": "k", "privateKey": PRIVATE}),
            400,
            "key.import-needs-profile",
            "--profile",
        ),
        (
            json!({"keyId": "k", "profile": "default", "publicKey": PUBLIC}),
            400,
            "key.import-needs-private-key",
            "--private-key",
        ),
        (
            json!({"keyId": "k", "publicKey": PUBLIC, "standby": true}),
            400,
            "key.import-standby",
            "",
        ),
        (
            json!({"keyId": "k", "profile": "fips", "privateKey": PRIVATE}),
            400,
            "key.algorithm",
            "",
        ),
        (
            json!({"keyId": "k", "profile": "nope", "privateKey": PRIVATE}),
            404,
            "profile.unknown",
            "config list",
        ),
        (
            json!({"keyId": "k", "profile": "default", "privateKey": PRIVATE, "publicKey": strange}),
            409,
            "key.other-public-key",
            "",
        ),
        (
            json!({"keyId": "k", "profile": "default", "privateKey": PUBLIC}),
            400,
            "key-store.not-pkcs8",
            "",
        ),
        (
            json!({"keyId": "k", "profile": "default", "privateKey": PRIVATE, "createdAt": "2023-12-31"}),
            409,
            "key.past-its-life",
            "public key",
        ),
        (
            json!({"keyId": "k", "profile": "default", "privateKey": PRIVATE, "createdAt": "2026-01-01"}),
            400,
            "key.created-in-future",
            "",
        ),
        (
            json!({"keyId": "k", "publicKey": "MCow"}),
            400,
            "key.malformed",
            "",
        ),
        (json!({"keyId": "a b", "publicKey": PUBLIC}), 400, "key.id", ""),
    ] {
        let said = api
            .refused(
                Method::POST,
                "/v1/signer/keys/import",
                &import.to_string(),
                status,
                code,
            )
            .await;
        assert!(said.contains(next), "{code}: {said}");
    }
    let (_, keys) = api.get("/v1/signer/keys").await;
    assert_eq!(keys["keys"], json!([]));
    assert!(!api.world.app.store.has_sealed_keys().await.expect("an answer"));
}

#[tokio::test]
async fn the_same_material_has_one_name() {
    let api = Api::empty().await;
    let import = |id: &str| json!({"keyId": id, "publicKey": PUBLIC}).to_string();
    api.ok(Method::POST, "/v1/signer/keys/import", &import("one"))
        .await;
    let next = api
        .refused(
            Method::POST,
            "/v1/signer/keys/import",
            &import("two"),
            409,
            "key.same-material",
        )
        .await;
    assert_eq!(next, "stella keys show one");
    api.refused(
        Method::POST,
        "/v1/signer/keys/import",
        &import("one"),
        409,
        "key.exists",
    )
    .await;
}

#[tokio::test]
async fn verify_signs_a_nonce() {
    let api = Api::runbook().await;
    let tried = api
        .ok(
            Method::POST,
            "/v1/signer/keys/key-2024-prod/verify",
            r#"{"operation": "sign"}"#,
        )
        .await;
    assert_eq!(
        (&tried["ok"], &tried["store"]),
        (&json!(true), &json!("software"))
    );
    assert!(tried["mechanism"].as_str().expect("text").contains("RFC 8032"));
    assert!(tried["milliseconds"].as_f64().expect("a number") >= 0.0);
    api.refused(
        Method::POST,
        "/v1/signer/keys/key-2024-prod/verify",
        r#"{"operation": "decrypt"}"#,
        400,
        "key.operation",
    )
    .await;
    api.refused(
        Method::POST,
        "/v1/signer/keys/nobody/verify",
        "",
        404,
        "key.unknown",
    )
    .await;
}

#[tokio::test]
async fn validity_follows_the_runbooks_rule_in_every_anchor() {
    let api = Api::runbook().await;
    let maven = "660f9500-f39c-51e5-b827-557766551111";
    api.generate("key-2025-prod", "default").await;
    api.ok(
        Method::POST,
        &format!("/v1/anchors/{NPM}/keys"),
        r#"{"keyid": "key-2025-prod"}"#,
    )
    .await;
    api.at("2024-03-01T00:00:00Z");
    api.anchor(maven, "pkg:maven/*", &["key-2024-prod", "key-2025-prod"])
        .await;
    api.at("2025-03-01T00:00:00Z");
    api.ok(
        Method::POST,
        &format!("/v1/anchors/{NPM}/keys/key-2024-prod/revoke"),
        r#"{"reason": "annual-rotation", "effectiveAt": "2025-02-01T00:00:00Z"}"#,
    )
    .await;
    for (at, valid, npm, in_maven) in [
        (
            "2024-01-14T23:59:59.999999Z",
            false,
            "key.not-yet-added",
            "key.not-yet-added",
        ),
        ("2024-01-15T00:00:00Z", false, "ok", "key.not-yet-added"),
        ("2024-06-15T12:00:00Z", true, "ok", "ok"),
        ("2025-01-31T23:59:59.999999Z", true, "ok", "ok"),
        ("2025-02-01T00:00:00Z", false, "key.revoked", "ok"),
        ("2025-02-01", false, "key.revoked", "ok"),
    ] {
        let path = format!("/v1/signer/keys/key-2024-prod/validity?atTime={at}");
        let answer = api.ok(Method::GET, &path, "").await;
        let reason = |id: &str| {
            let rows = answer["anchors"].as_array().expect("rows");
            rows.iter().find(|r| r["anchorId"] == id).expect("a row")["reason"].clone()
        };
        assert_eq!(
            (answer["valid"].clone(), reason(NPM), reason(maven)),
            (json!(valid), json!(npm), json!(in_maven)),
            "{at}"
        );
    }
    api.generate("alone", "fips").await;
    let alone = api.ok(Method::GET, "/v1/signer/keys/alone/validity", "").await;
    assert_eq!((&alone["valid"], &alone["anchors"]), (&json!(false), &json!([])));
    api.refused(
        Method::GET,
        "/v1/signer/keys/alone/validity?atTime=yesterday",
        "",
        400,
        "time.syntax",
    )
    .await;
}

#[tokio::test]
async fn warnings_come_in_the_runbooks_words_the_most_urgent_first() {
    let api = Api::runbook().await;
    api.at("2024-05-20T00:00:00Z");
    api.generate("key-2024-java", "fips").await;
    api.at("2024-11-20T00:00:00Z");
    let (_, warnings) = api.get("/v1/signer/rotation-warnings").await;
    let row = |n: usize| {
        let k = &warnings["keys"][n];
        ["keyId", "profile", "age", "maxAge", "level", "warning"]
            .map(|f| k[f].as_str().expect("text").to_owned())
    };
    assert_eq!(
        row(0),
        [
            "key-2024-prod",
            "default",
            "10mo",
            "12mo",
            "due",
            "Rotation due in 2 months"
        ]
    );
    assert_eq!(row(1), ["key-2024-java", "fips", "6mo", "12mo", "ok", "OK"]);

    api.ok(
        Method::PUT,
        "/v1/signer/config/rotation.warningMonths",
        r#"{"value": "6"}"#,
    )
    .await;
    let (_, warnings) = api.get("/v1/signer/rotation-warnings").await;
    assert_eq!(warnings["keys"][1]["level"], "due");

    api.at("2025-01-15T00:00:00Z");
    let (_, warnings) = api.get("/v1/signer/rotation-warnings").await;
    assert_eq!(warnings["keys"][0]["level"], "overdue");
    assert_eq!(
        warnings["keys"][0]["warning"],
        "Rotation overdue since 2025-01-15; signs nothing new"
    );
}

#[tokio::test]
async fn providers_are_those_of_this_build() {
    let api = Api::empty().await;
    let (_, providers) = api.get("/v1/crypto/providers").await;
    let ids: Vec<_> = providers["algorithms"]
        .as_array()
        .expect("algorithms")
        .iter()
        .map(|a| a["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(
        ids,
        [
            "SHA256-ED25519",
            "SHA256-ECDSA-P256",
            "ML-DSA-65",
            "GOST-R-34.10-2012",
            "SM2-P256"
        ]
    );
    let unaudited = providers["algorithms"].as_array().expect("algorithms");
    let unaudited: Vec<_> = unaudited.iter().map(|a| a["unaudited"] == true).collect();
    assert_eq!(unaudited, [false, false, false, true, true]);
}
