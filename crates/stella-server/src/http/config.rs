//! `/v1/signer/config`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use stella_core::api::keys::{ConfigEntry, ConfigList, SetConfig};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::Body;
use crate::app::{App, Caller, Result};

#[derive(Debug, Deserialize, IntoParams)]
pub struct ListParameters {
    /// Only what run time overrides.
    #[serde(default)]
    pub overridden: bool,
}

/// Every setting with its origin.
#[utoipa::path(get, path = "/v1/signer/config", tag = "config", params(ListParameters), 
    responses((status = 200, description = "done", body = ConfigList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<ListParameters>,
) -> Result<Json<ConfigList>> {
    app.config_list(asked.overridden).await.map(Json)
}

/// One setting.
#[utoipa::path(get, path = "/v1/signer/config/{key}", tag = "config", params(("key" = String, Path, description = "the setting, in either spelling")), 
    responses((status = 200, description = "done", body = ConfigEntry), (status = "4XX", description = "refused", body = Problem)))]
pub async fn get(State(app): State<Arc<App>>, Path(key): Path<String>) -> Result<Json<ConfigEntry>> {
    app.config_get(&key).await.map(Json)
}

/// Set it at run time.
#[utoipa::path(put, path = "/v1/signer/config/{key}", tag = "config", params(("key" = String, Path, description = "the setting, in either spelling")), request_body = SetConfig, 
    responses((status = 200, description = "done", body = ConfigEntry), (status = "4XX", description = "refused", body = Problem)))]
pub async fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
    Body(request): Body<SetConfig>,
) -> Result<Json<ConfigEntry>> {
    app.config_set(&caller, &key, &request.value).await.map(Json)
}

/// Take the run-time value back.
#[utoipa::path(delete, path = "/v1/signer/config/{key}", tag = "config", params(("key" = String, Path, description = "the setting, in either spelling")), 
    responses((status = 200, description = "done", body = ConfigEntry), (status = "4XX", description = "refused", body = Problem)))]
pub async fn unset(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<ConfigEntry>> {
    app.config_unset(&caller, &key).await.map(Json)
}

/// Read again what can change while the server runs.
#[utoipa::path(post, path = "/v1/reload", tag = "config",
    responses((status = 200, description = "what was read again", body = serde_json::Value), (status = "4XX", description = "refused", body = Problem)))]
pub async fn reload(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<serde_json::Value>> {
    app.reload(&caller).await.map(Json)
}
