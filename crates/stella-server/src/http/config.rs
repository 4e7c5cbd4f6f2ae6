//! `/v1/signer/config`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use stella_core::api::keys::{ConfigEntry, ConfigList, SetConfig};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::{Body, Query};
use crate::app::{App, Caller, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only what was set at run time.
    #[serde(default)]
    pub overridden: bool,
}

/// Every setting, and where its value comes from.
#[utoipa::path(get, path = "/v1/signer/config", tag = "config", params(ListQuery),
    responses((status = 200, description = "the settings", body = ConfigList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>, Query(query): Query<ListQuery>) -> Result<Json<ConfigList>> {
    app.list_config(query.overridden).await.map(Json)
}

/// One setting.
#[utoipa::path(get, path = "/v1/signer/config/{key}", tag = "config", params(("key" = String, Path, description = "such as rotation.overlap_days, in either spelling")),
    responses((status = 200, description = "the setting", body = ConfigEntry), (status = "4XX", description = "refused", body = Problem)))]
pub async fn get(State(app): State<Arc<App>>, Path(key): Path<String>) -> Result<Json<ConfigEntry>> {
    app.config_entry(&key).await.map(Json)
}

/// Set at run time; an event.
#[utoipa::path(put, path = "/v1/signer/config/{key}", tag = "config", params(("key" = String, Path, description = "such as rotation.overlap_days, in either spelling")), request_body = SetConfig,
    responses((status = 200, description = "the setting as it stands now", body = ConfigEntry), (status = "4XX", description = "refused", body = Problem)))]
pub async fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
    Body(request): Body<SetConfig>,
) -> Result<Json<ConfigEntry>> {
    app.set_config(&caller, &key, &request).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UnsetQuery {
    /// What was set for this profile alone; for signing.mode.
    pub profile: Option<String>,
}

/// Undo what was set at run time.
#[utoipa::path(delete, path = "/v1/signer/config/{key}", tag = "config", params(UnsetQuery, ("key" = String, Path, description = "such as rotation.overlap_days, in either spelling")),
    responses((status = 200, description = "the setting as it stands now", body = ConfigEntry), (status = "4XX", description = "refused", body = Problem)))]
pub async fn unset(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(key): Path<String>,
    Query(query): Query<UnsetQuery>,
) -> Result<Json<ConfigEntry>> {
    app.unset_config(&caller, &key, query.profile.as_deref())
        .await
        .map(Json)
}

/// Read again what can change while the server runs.
#[utoipa::path(post, path = "/v1/reload", tag = "config",
    responses((status = 200, description = "what was read again", body = serde_json::Value), (status = "4XX", description = "refused", body = Problem)))]
pub async fn reload(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<serde_json::Value>> {
    app.reload(&caller).await.map(Json)
}
