//! What is refused, how, and what to do instead.

use super::*;
use stella_server::http::peer::Peer;

#[tokio::test]
async fn each_refusal_has_a_status_a_code_and_the_next_command() {
    let api = Api::runbook().await;
    api.generate("log-1", "fips").await;
    let keys = format!("/v1/anchors/{NPM}/keys");
    let revoke = format!("{keys}/key-2024-prod/revoke");
    let sign = "/v1/signer/keys/key-2024-prod";
    let other = Api::empty().await;
    other.generate("x", "default").await;
    let foreign = other.key("x").await["publicKey"].clone();
    let with_material = json!({"keyid": "key-2024-prod", "publicKey": foreign}).to_string();
    let foreign_all = json!({"keyid": "partner", "publicKey": foreign}).to_string();
    let post = Method::POST;
    for (method, path, body, status, code, next) in [
        (
            &post,
            "/v1/signer/keys",
            r#"{"keyId": "key-2024-prod"}"#,
            409,
            "key.exists",
            "stella keys show key-2024-prod",
        ),
        (
            &post,
            "/v1/signer/keys",
            r#"{"profile": "nope"}"#,
            404,
            "profile.unknown",
            "stella config list",
        ),
        (
            &Method::GET,
            "/v1/signer/keys?type=sgning",
            "",
            400,
            "key.type",
            "",
        ),
        (
            &Method::GET,
            "/v1/signer/keys?status=actve",
            "",
            400,
            "key.status",
            "",
        ),
        (
            &post,
            "/v1/signer/keys",
            r#"{"profile": "fips", "algorithm": "ed25519"}"#,
            400,
            "key.algorithm",
            "",
        ),
        (
            &post,
            "/v1/signer/keys/nobody/activate",
            "",
            404,
            "key.unknown",
            "stella keys list",
        ),
        (
            &post,
            "/v1/signer/keys/nobody/retire",
            "",
            404,
            "key.unknown",
            "stella keys list",
        ),
        (
            &post,
            "/v1/signer/keys/nobody/revoke",
            r#"{"reason": "compromise"}"#,
            404,
            "key.unknown",
            "stella keys list",
        ),
        (
            &Method::GET,
            "/v1/signer/keys/nobody/impact",
            "",
            404,
            "key.unknown",
            "stella keys list",
        ),
        (
            &post,
            &format!("{sign}/retire"),
            "",
            409,
            "key.active",
            "stella keys generate --profile default",
        ),
        (
            &post,
            &format!("{sign}/revoke"),
            r#"{"reason": "annual-rotation"}"#,
            409,
            "key.active",
            "stella keys generate",
        ),
        (
            &post,
            &format!("{sign}/revoke"),
            r#"{"reason": "boredom"}"#,
            400,
            "key.reason",
            "",
        ),
        (&post, &format!("{sign}/revoke"), "{}", 400, "json.shape", ""),
        (
            &post,
            &revoke,
            r#"{"reason": "annual-rotation"}"#,
            409,
            "key.active",
            "stella keys generate",
        ),
        (
            &post,
            &revoke,
            r#"{"reason": "superseded", "compromisedSince": "2024-01-15"}"#,
            400,
            "key.since-without-compromise",
            "",
        ),
        (
            &post,
            &revoke,
            r#"{"reason": "compromise", "compromisedSince": "2030-01-15"}"#,
            400,
            "key.since-in-future",
            "",
        ),
        (
            &post,
            &revoke,
            r#"{"reason": "compromise", "effectiveAt": "soon"}"#,
            400,
            "time.syntax",
            "",
        ),
        (
            &post,
            &format!("{keys}/log-1/revoke"),
            r#"{"reason": "superseded"}"#,
            404,
            "anchor.key-not-here",
            "stella anchor show",
        ),
        (
            &post,
            "/v1/anchors/ALL/keys/log-1/revoke",
            r#"{"reason": "superseded"}"#,
            409,
            "key.active",
            "",
        ),
        (
            &post,
            &keys,
            r#"{"keyid": "nobody"}"#,
            404,
            "key.unknown",
            "stella keys generate --key-id nobody",
        ),
        (
            &post,
            &keys,
            &with_material,
            409,
            "key.other-public-key",
            "stella keys show key-2024-prod --public",
        ),
        (
            &post,
            &keys,
            r#"{"keyid": "key-2024-prod", "createdAt": "2020-01-01"}"#,
            409,
            "key.other-created-at",
            "stella keys show",
        ),
        (
            &post,
            &keys,
            r#"{"keyid": "log-1", "expiresAt": "2020-01-01"}"#,
            400,
            "anchor.expires-in-past",
            "",
        ),
        (
            &post,
            "/v1/anchors/ALL/keys",
            &foreign_all,
            400,
            "anchor.all-needs-profile",
            "stella anchor list",
        ),
        (
            &post,
            "/v1/anchors/ALL/keys",
            r#"{"keyid": "log-1"}"#,
            404,
            "anchor.none-affected",
            "stella anchor create",
        ),
        (
            &post,
            "/v1/anchors/ffffffff/keys",
            r#"{"keyid": "log-1"}"#,
            404,
            "anchor.unknown",
            "stella anchor list",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "pkg:npm/*x"}"#,
            400,
            "anchor.pattern",
            "",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "*", "trustAnchorId": "7"}"#,
            400,
            "anchor.id",
            "",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "*", "trustAnchorId": "550e8400-e29b-41d4-a716-446655440000"}"#,
            409,
            "anchor.exists",
            "stella anchor show 550e8400",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "*", "keyIds": ["nobody"]}"#,
            404,
            "key.unknown",
            "stella keys list",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "*", "threshold": 0}"#,
            400,
            "anchor.threshold",
            "",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "*", "minTimeEvidence": "claimed"}"#,
            400,
            "time.class",
            "",
        ),
        (
            &post,
            "/v1/anchors",
            r#"{"purlPattern": "*", "allowedPredicateTypes": ["nonsense"]}"#,
            400,
            "predicate.unknown",
            "",
        ),
        (
            &Method::PATCH,
            &format!("/v1/anchors/{NPM}"),
            r#"{"status": "off"}"#,
            400,
            "anchor.status",
            "",
        ),
        (
            &Method::PATCH,
            &format!("/v1/anchors/{NPM}"),
            r#"{"allowAllPredicateTypes": true, "allowedPredicateTypes": []}"#,
            400,
            "anchor.types-conflict",
            "",
        ),
        (
            &Method::GET,
            "/v1/anchors/550",
            "",
            404,
            "anchor.unknown",
            "stella anchor list",
        ),
        (
            &Method::GET,
            "/v1/anchors/explain?name=pkg:npm",
            "",
            400,
            "purl.syntax",
            "",
        ),
    ] {
        let said = api.refused(method.clone(), path, body, status, code).await;
        assert!(said.contains(next), "{code}: {said:?} has no {next:?}");
    }
    let anchor = api.ok(Method::GET, &format!("/v1/anchors/{NPM}"), "").await;
    assert_eq!(anchor["policyVersion"], "v1.0.1", "nothing was changed");
}

#[tokio::test]
async fn a_revocation_never_moves_later_and_the_key_never_comes_back() {
    let api = Api::runbook().await;
    api.generate("key-2025-prod", "default").await;
    let keys = format!("/v1/anchors/{NPM}/keys");
    api.ok(Method::POST, &keys, r#"{"keyid": "key-2025-prod"}"#).await;
    let revoke = format!("{keys}/key-2024-prod/revoke");
    let at = |day: &str| format!(r#"{{"reason": "annual-rotation", "effectiveAt": "2024-02-{day}"}}"#);
    api.ok(Method::POST, &revoke, &at("10")).await;
    api.refused(Method::POST, &revoke, &at("11"), 409, "key.revocation-loosened")
        .await;
    api.ok(Method::POST, &revoke, &at("09")).await;
    api.refused(
        Method::POST,
        &keys,
        r#"{"keyid": "key-2024-prod"}"#,
        409,
        "anchor.key-revoked-here",
    )
    .await;
}

#[tokio::test]
async fn a_key_that_signs_no_statements_enters_no_anchor() {
    let api = Api::runbook().await;
    let generate = r#"{"profile": "default", "keyId": "log-key", "type": "log"}"#;
    api.ok(Method::POST, "/v1/signer/keys", generate).await;
    api.refused(
        Method::POST,
        &format!("/v1/anchors/{NPM}/keys"),
        r#"{"keyid": "log-key"}"#,
        409,
        "key.not-a-signing-key",
    )
    .await;
    api.refused(
        Method::POST,
        "/v1/anchors",
        r#"{"purlPattern": "*", "keyIds": ["log-key"]}"#,
        409,
        "key.not-a-signing-key",
    )
    .await;
}

#[tokio::test]
async fn a_prefix_that_two_anchors_share_names_neither() {
    let api = Api::runbook().await;
    api.anchor("550e8400-0000-4000-8000-000000000000", "pkg:pypi/*", &[])
        .await;
    api.refused(
        Method::GET,
        "/v1/anchors/550e8400...",
        "",
        400,
        "anchor.ambiguous",
    )
    .await;
    api.ok(Method::GET, "/v1/anchors/550e8400-e29b...", "").await;
}

#[tokio::test]
async fn roles_that_do_not_say_so_may_not() {
    let api = Api::runbook().await;
    let anchors = format!("/v1/anchors/{NPM}");
    let revoke = format!("{anchors}/keys/key-2024-prod/revoke");
    let wishes = [
        (
            Method::POST,
            "/v1/signer/keys",
            r#"{"keyId": "mine"}"#,
            vec![Role::Admin, Role::KeyAdmin],
        ),
        (
            Method::POST,
            revoke.as_str(),
            r#"{"reason": "compromise", "dryRun": true}"#,
            vec![Role::Admin, Role::KeyAdmin],
        ),
        (
            Method::PATCH,
            anchors.as_str(),
            "{}",
            vec![Role::Admin, Role::KeyAdmin],
        ),
        (
            Method::PUT,
            "/v1/signer/config/rotation.auto",
            r#"{"value": "true"}"#,
            vec![Role::Admin],
        ),
        (
            Method::GET,
            "/v1/signer/config",
            "",
            vec![Role::Admin, Role::KeyAdmin, Role::Auditor],
        ),
        (
            Method::GET,
            "/v1/audit",
            "",
            vec![Role::Admin, Role::Auditor, Role::Approver],
        ),
        (
            Method::GET,
            "/v1/anchors",
            "",
            vec![
                Role::Admin,
                Role::KeyAdmin,
                Role::Verifier,
                Role::Auditor,
                Role::Approver,
            ],
        ),
    ];
    for (method, path, body, allowed) in wishes {
        for role in Role::ALL {
            let caller = by(role);
            let (status, answer) = api.call_as(&caller, method.clone(), path, body).await;
            if allowed.contains(&role) {
                assert_ne!(status, 403, "{role} {method} {path}: {answer}");
            } else {
                assert_eq!(
                    (status, answer["code"].as_str()),
                    (403, Some("access.denied")),
                    "{role} {method} {path}"
                );
            }
        }
    }
    assert_eq!(api.key("key-2024-prod").await["status"], "active");
    assert_eq!(api.key("mine").await["status"], "pending");
}

#[tokio::test]
async fn without_a_caller_nothing_is_answered() {
    let api = Api::runbook().await;
    let request = Request::get("/v1/anchors")
        .body(Body::empty())
        .expect("a request");
    let response = stella_server::http::router(Arc::clone(&api.world.app))
        .oneshot(request)
        .await
        .expect("an answer");
    assert_eq!(response.status(), 401);
}

/// Whoever stole a token may hold a request open, its body half sent, while
/// the token is revoked.
#[tokio::test]
async fn a_request_that_outlives_its_token_changes_no_trust() {
    let api = Api::runbook().await;
    let (_, made) = api
        .post("/v1/tokens", r#"{"role": "admin", "name": "stolen"}"#)
        .await;
    let secret = made["secret"].as_str().expect("a secret");
    let caller = api.world.app.token_caller(secret).await.expect("authenticated");
    let revoke = format!("/v1/tokens/{}/revoke", made["id"].as_str().expect("an id"));
    api.ok(Method::POST, &revoke, "").await;

    let events = api.ok(Method::GET, "/v1/audit", "").await;
    for (path, body) in [
        ("/v1/tokens", r#"{"role": "admin"}"#),
        ("/v1/signer/keys", r#"{"profile": "default", "keyId": "mine"}"#),
        (
            "/v1/anchors",
            r#"{"purlPattern": "*", "keyIds": ["key-2024-prod"]}"#,
        ),
    ] {
        let (status, answer) = api.call_as(&caller, Method::POST, path, body).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (401, Some("access.unauthenticated")),
            "{path}: {answer}"
        );
    }
    assert_eq!(api.ok(Method::GET, "/v1/audit", "").await, events);
    assert_eq!(
        api.ok(Method::GET, "/v1/tokens", "").await["tokens"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

/// A socket may lie where others reach it.
#[tokio::test]
async fn a_local_user_who_does_not_own_the_home_needs_a_token() {
    let api = Api::runbook().await;
    let (_, made) = api.post("/v1/tokens", r#"{"role": "verifier"}"#).await;
    let good = format!("Bearer {}", made["secret"].as_str().expect("a secret"));
    let ask = async |uid: u32, token: Option<&str>, path: &str| {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        let user = "somebody".to_owned();
        request.extensions_mut().insert(Peer::Local { uid, user });
        let router = stella_server::http::router(Arc::clone(&api.world.app));
        router
            .oneshot(request)
            .await
            .expect("an answer")
            .status()
            .as_u16()
    };
    let me = rustix::process::geteuid().as_raw();
    let stranger = me + 1;
    assert_eq!(ask(me, None, "/v1/tokens").await, 200);
    assert_eq!(ask(stranger, None, "/v1/anchors").await, 401);
    assert_eq!(
        ask(stranger, Some("Bearer stella_guess"), "/v1/anchors").await,
        401
    );
    assert_eq!(ask(stranger, Some(good.as_str()), "/v1/anchors").await, 200);
    assert_eq!(ask(stranger, Some(good.as_str()), "/v1/tokens").await, 403);
}

/// A demand that was left out for a misspelling would be a looser gate.
#[tokio::test]
async fn a_field_that_nobody_knows_is_refused_and_not_passed_over() {
    let api = Api::runbook().await;
    let digest = format!(r#"{{"sha256": "{}"}}"#, "a".repeat(64));
    for (path, body, field) in [
        (
            "/v1/verify/artifact",
            format!(r#"{{"digests": {digest}, "requireType": ["cyclonedx"]}}"#),
            "requireType",
        ),
        (
            "/v1/verify/artifact",
            format!(r#"{{"digests": {digest}, "minTimeEvidenc": "attested"}}"#),
            "minTimeEvidenc",
        ),
        (
            "/v1/verify/attestation",
            r#"{"last": true, "signers": "token:ci"}"#.to_owned(),
            "signers",
        ),
        (
            "/v1/verify/bundle",
            r#"{"document": "{}", "digest": {}}"#.to_owned(),
            "digest",
        ),
        (
            "/v1/tokens",
            r#"{"role": "signer", "purls": ["*"], "type": ["openvex"]}"#.to_owned(),
            "type",
        ),
        (
            "/v1/anchors",
            r#"{"purlPattern": "*", "requireledger": true}"#.to_owned(),
            "requireledger",
        ),
        (
            "/v1/signer/keys",
            r#"{"profile": "default", "standBy": true}"#.to_owned(),
            "standBy",
        ),
        (
            "/v1/signer/keys/key-2024-prod/revoke",
            r#"{"reason": "compromise", "dry-run": true}"#.to_owned(),
            "dry-run",
        ),
        (
            "/v1/attestations",
            r#"{"predicateType": "test", "profile": "fips"}"#.to_owned(),
            "profile",
        ),
        (
            "/v1/verify/proof",
            format!(r#"{{"document": "{{}}", "digest": {digest}}}"#),
            "digest",
        ),
        ("/v1/proofs", r#"{"member": ["0192f3a0"]}"#.to_owned(), "member"),
    ] {
        let (status, answer) = api.post(path, &body).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some("json.shape")),
            "{body}: {answer}"
        );
        let detail = answer["detail"].as_str().expect("why");
        assert!(detail.contains(field), "{detail}");
    }
    // Nor is a list taken for the fields in their order.
    api.refused(
        Method::PUT,
        "/v1/signer/config/rotation.auto",
        r#"["true"]"#,
        400,
        "json.shape",
    )
    .await;
}

#[tokio::test]
async fn a_method_that_a_resource_does_not_take_is_told_with_those_it_takes() {
    let api = Api::runbook().await;
    let path = "/v1/signer/config/signing.mode";
    api.refused(Method::POST, path, "", 405, "route.method").await;
    api.refused(Method::DELETE, "/v1/anchors", "", 405, "route.method")
        .await;
    api.refused(Method::GET, "/v1/nothing", "", 404, "route.unknown")
        .await;
    let mut request = Request::post(path).body(Body::empty()).expect("a request");
    request.extensions_mut().insert(api.world.owner.clone());
    let router = stella_server::http::router(Arc::clone(&api.world.app));
    let answer = router.oneshot(request).await.expect("an answer");
    assert_eq!(answer.headers()["allow"], "GET, PUT, DELETE");
}

#[tokio::test]
async fn a_note_is_not_a_book() {
    let api = Api::runbook().await;
    let id = api.attest("pkg:npm/app@1.0.0", "a").await;
    let events = api.ok(Method::GET, "/v1/audit", "").await;
    let note = "x".repeat(5_000);
    for (method, path, rest) in [
        (
            Method::POST,
            "/v1/signer/keys/key-2024-prod/revoke",
            r#""reason": "compromise""#,
        ),
        (
            Method::PATCH,
            &format!("/v1/anchors/{NPM}"),
            r#""status": "disabled""#,
        ),
        (
            Method::POST,
            &format!("/v1/attestations/{id}/withdraw"),
            r#""reason": "superseded""#,
        ),
    ] {
        let body = format!(r#"{{{rest}, "note": "{note}"}}"#);
        api.refused(method, path, &body, 400, "note.too-long").await;
    }
    assert_eq!(api.ok(Method::GET, "/v1/audit", "").await, events);
}
