//! `/v1/trust`: what offline verifiers take with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use stella_core::api::problem::Problem;
use stella_core::api::trust::{ExportTrust, ExportedTrust, TrustRootDocument};

use super::extract::Body;
use crate::app::{App, Caller, Result};

/// Sign what is trusted now for offline verifiers. Each has its own number.
#[utoipa::path(post, path = "/v1/trust/bundle", tag = "trust", request_body = ExportTrust,
    responses((status = 201, description = "the trust bundle", body = ExportedTrust), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "signing failed", body = Problem)))]
pub async fn bundle(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<ExportTrust>,
) -> Result<(StatusCode, Json<ExportedTrust>)> {
    Ok((
        StatusCode::CREATED,
        Json(app.export_trust(&caller, request).await?),
    ))
}

/// The root that offline verifiers pin: it names the feed keys.
#[utoipa::path(get, path = "/v1/trust/root", tag = "trust",
    responses((status = 200, description = "the trust root", body = TrustRootDocument), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "signing failed", body = Problem)))]
pub async fn root(State(app): State<Arc<App>>) -> Result<Json<TrustRootDocument>> {
    app.trust_root().await.map(Json)
}
