//! `/v1/crypto`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use stella_core::api::crypto::Providers;
use stella_core::api::problem::Problem;

use crate::app::App;

/// What signs and verifies with which algorithm.
#[utoipa::path(get, path = "/v1/crypto/providers", tag = "crypto",
    responses((status = 200, description = "the algorithms", body = Providers), (status = "4XX", description = "refused", body = Problem)))]
pub async fn providers(State(app): State<Arc<App>>) -> Json<Providers> {
    Json(app.providers())
}
