//! What probes and readers of the API ask for, without a token.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::{Extension, Json, Router};
use stella_core::api::problem::Problem;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::{App, Error, Result};

/// Whether the server is on its way out; put into the extensions of every
/// request by whatever serves it.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    pub fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "alive", body = String, content_type = "text/plain")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Requests can be served: the store takes a durable write and the server is
/// not on its way out.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, description = "ready", body = String, content_type = "text/plain"), (status = 503, description = "not ready, and why", body = Problem)))]
pub async fn readyz(
    State(app): State<Arc<App>>,
    draining: Option<Extension<Draining>>,
) -> Result<&'static str> {
    if draining.is_some_and(|d| d.has_begun()) {
        return Err(Error::unavailable("server.stopping", "the server is stopping"));
    }
    app.store.probe().await?;
    Ok("ready\n")
}

/// This API, as OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "the OpenAPI document", body = serde_json::Value)))]
pub async fn openapi_json() -> Json<&'static utoipa::openapi::OpenApi> {
    // Made once: anybody may ask for it.
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(super::openapi);
    Json(&DOCUMENT)
}

/// `/docs`, from files that are part of the program.
pub fn viewer() -> Router<Arc<App>> {
    SwaggerUi::new("/docs")
        .config(Config::new(["/openapi.json"]))
        .into()
}
