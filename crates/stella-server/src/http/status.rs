//! `/v1/status`, `/v1/logs`, `/v1/db`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stella_core::api::audit::LogList;
use stella_core::api::problem::Problem;
use stella_core::api::status::{DbReport, Status};
use utoipa::IntoParams;

use super::extract::Query;
use crate::app::logs::LogQuery;
use crate::app::{App, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// This level and worse: error, warn, info.
    pub level: Option<String>,
    /// RFC 3339, or a date.
    pub since: Option<String>,
    /// Part of the component or the message.
    pub filter: Option<String>,
    pub limit: Option<usize>,
}

/// What this instance is, and whether it can sign.
#[utoipa::path(get, path = "/v1/status", tag = "status",
    responses((status = 200, description = "the state of the instance", body = Status), (status = "4XX", description = "refused", body = Problem)))]
pub async fn status(State(app): State<Arc<App>>) -> Result<Json<Status>> {
    app.status().await.map(Json)
}

/// The operations log.
#[utoipa::path(get, path = "/v1/logs", tag = "status", params(LogsQuery),
    responses((status = 200, description = "lines of the log", body = LogList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn logs(State(app): State<Arc<App>>, Query(query): Query<LogsQuery>) -> Result<Json<LogList>> {
    app.read_logs(LogQuery {
        level: query.level,
        since: query.since,
        filter: query.filter,
        limit: query.limit,
    })
    .await
    .map(Json)
}

/// Read the whole store and compare it with its own digests.
#[utoipa::path(post, path = "/v1/db/verify", tag = "status",
    responses((status = 200, description = "what was found", body = DbReport), (status = "4XX", description = "refused", body = Problem)))]
pub async fn db_verify(State(app): State<Arc<App>>) -> Result<Json<DbReport>> {
    app.verify_store().await.map(Json)
}
