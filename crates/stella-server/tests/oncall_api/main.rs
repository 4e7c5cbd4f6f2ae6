//! What the person on call asks and is told, over the HTTP API on the real
//! store: the doctor, and the modules that hold keys.

mod doctor;
mod hsm;
mod module;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use stella_core::trust::event::{CustodyEntered, KeyEntered};
use stella_core::trust::{EventBody, KeyType};
use stella_server::app::caller::SigningScope;
use stella_server::app::{Caller, Role};
use stella_server::config;
use support::World;
use tower::ServiceExt as _;

struct Api {
    world: World,
}

impl Api {
    /// With the key `k1` of the profile `default`, which `pkg:npm/*` holds.
    async fn ready() -> Self {
        Self {
            world: World::ready().await,
        }
    }

    /// Nothing but this file.
    async fn with(yaml: &str) -> Self {
        let settings = config::parse([(Path::new("signer.yaml"), yaml)]).expect("a configuration");
        Self {
            world: World::with(settings).await,
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(&self.world.owner, Method::GET, path, "").await
    }

    async fn call(&self, caller: &Caller, method: Method, path: &str, body: &str) -> (u16, Value) {
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

    /// An active key of the profile `fips` whose private half is said to be
    /// in this store.
    async fn held_elsewhere(&self, id: &str, store: &str) {
        self.enter(id, store, false).await;
        self.world.activate(id).await;
    }

    async fn held_on_standby(&self, id: &str, store: &str) {
        self.enter(id, store, true).await;
    }

    async fn enter(&self, id: &str, store: &str, standby: bool) {
        let now = self.world.now().parse().expect("a time");
        self.world
            .append(vec![EventBody::KeyGenerated(KeyEntered {
                key_id: id.parse().expect("a key id"),
                key_type: KeyType::Signing,
                public_key: module::public_key(),
                created_at: Some(now),
                custody: Some(CustodyEntered {
                    profile: "fips".parse().expect("a profile"),
                    store: store.to_owned(),
                    not_after: None,
                    standby,
                }),
            })])
            .await;
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
