//! Stories of keys, anchors, settings and their audit trail, told over the
//! HTTP API on the real store.

mod anchors;
mod audit;
mod emergency;
mod exports;
mod keys;
mod refusals;
mod rotation;
mod settings;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use stella_core::time::Timestamp;
use stella_server::app::caller::SigningScope;
use stella_server::app::{Caller, Role};
use stella_server::config::Settings;
use support::{World, about};
use tower::ServiceExt as _;

/// The runbook's anchor.
const NPM: &str = "550e8400-e29b-41d4-a716-446655440000";

struct Api {
    world: World,
}

impl Api {
    async fn empty() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let store = support::open_store(home.path()).await;
        Self {
            world: World::over(store, settings, home),
        }
    }

    /// As the runbook finds it: key-2024-prod signs, pkg:npm/* holds it.
    async fn runbook() -> Self {
        let api = Self::empty().await;
        api.at("2024-01-15T00:00:00Z");
        api.generate("key-2024-prod", "default").await;
        api.anchor(NPM, "pkg:npm/*", &["key-2024-prod"]).await;
        api
    }

    fn at(&self, time: &str) {
        self.world.clock.set(time.parse::<Timestamp>().expect("a time"));
    }

    async fn generate(&self, id: &str, profile: &str) {
        let body = json!({"profile": profile, "keyId": id});
        let (status, answer) = self.post("/v1/signer/keys", &body.to_string()).await;
        assert_eq!(status, 201, "{answer}");
    }

    async fn anchor(&self, id: &str, pattern: &str, keys: &[&str]) {
        let body = json!({"trustAnchorId": id, "purlPattern": pattern, "keyIds": keys});
        let (status, answer) = self.post("/v1/anchors", &body.to_string()).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// Signed by what its profile signs with; answers the attestation's id.
    async fn attest(&self, name: &str, digit: &str) -> String {
        let created = self
            .world
            .create(about(name, digit, "evidence.stella/v1"))
            .await
            .expect("an attestation");
        created.id
    }

    async fn verdict(&self, id: &str) -> (String, String) {
        let report = self.world.verify(id).await;
        (report.verdict, report.code)
    }

    async fn key(&self, id: &str) -> Value {
        self.ok(Method::GET, &format!("/v1/signer/keys/{id}"), "").await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.call(Method::POST, path, body).await
    }

    async fn ok(&self, method: Method, path: &str, body: &str) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Without a content type, as `curl -d` in the runbook without `-H`.
    async fn call(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        self.call_as(&self.world.owner, method, path, body).await
    }

    async fn call_as(&self, caller: &Caller, method: Method, path: &str, body: &str) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body.to_owned()))
            .expect("a request");
        request.extensions_mut().insert(caller.clone());
        let response = stella_server::http::router(Arc::clone(&self.world.app))
            .oneshot(request)
            .await
            .expect("an answer");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Refused with this status and code; answers the command that mends it.
    async fn refused(&self, method: Method, path: &str, body: &str, status: u16, code: &str) -> String {
        let (found, answer) = self.call(method, path, body).await;
        assert_eq!(
            (found, answer["code"].as_str()),
            (status, Some(code)),
            "{path} {body}: {answer}"
        );
        answer["next"].as_str().unwrap_or_default().to_owned()
    }
}

fn by(role: Role) -> Caller {
    Caller {
        identity: format!("token:{role}"),
        token: None,
        role,
        scope: SigningScope::default(),
        remote: true,
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| v.as_str().expect("text"))
        .collect()
}
