//! `/v1/replicas`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use stella_core::api::problem::Problem;
use stella_core::api::replicas::ReplicaList;

use crate::app::{App, Result};

/// The servers that share this one's store, and which of them answers.
#[utoipa::path(get, path = "/v1/replicas", tag = "status",
    responses((status = 200, description = "the replicas, by name", body = ReplicaList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<ReplicaList>> {
    app.list_replicas().await.map(Json)
}
