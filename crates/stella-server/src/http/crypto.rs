//! `/v1/crypto`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use stella_core::api::audit::LogList;
use stella_core::api::crypto::Providers;
use stella_core::api::hsm::{
    FailedOver, Failover, HsmInfoList, HsmReport, HsmSlotList, HsmStatusList, PinVerified, UpdatePin,
    VerifyPin,
};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::{Body, Query};
use crate::app::logs::LogQuery;
use crate::app::{App, Caller, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ModuleQuery {
    /// One module of the configuration; without it every one, or for a PIN the
    /// first.
    pub module: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HsmLogsQuery {
    /// This level and worse: error, warn, info.
    pub level: Option<String>,
    /// RFC 3339, or a date.
    pub since: Option<String>,
    pub limit: Option<usize>,
}

/// What signs and verifies with which algorithm.
#[utoipa::path(get, path = "/v1/crypto/providers", tag = "crypto",
    responses((status = 200, description = "the algorithms", body = Providers), (status = "4XX", description = "refused", body = Problem)))]
pub async fn providers(State(app): State<Arc<App>>) -> Json<Providers> {
    Json(app.providers())
}

/// Whether each module is reached, and how its worker stands.
#[utoipa::path(get, path = "/v1/crypto/hsm", tag = "crypto", params(ModuleQuery),
    responses((status = 200, description = "the modules", body = HsmStatusList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn hsm_status(
    State(app): State<Arc<App>>,
    Query(query): Query<ModuleQuery>,
) -> Result<Json<HsmStatusList>> {
    app.hsm_status(query.module.as_deref()).await.map(Json)
}

/// Slots, and the tokens in them.
#[utoipa::path(get, path = "/v1/crypto/hsm/slots", tag = "crypto", params(ModuleQuery),
    responses((status = 200, description = "the slots", body = HsmSlotList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn hsm_slots(
    State(app): State<Arc<App>>,
    Query(query): Query<ModuleQuery>,
) -> Result<Json<HsmSlotList>> {
    app.hsm_slots(query.module.as_deref()).await.map(Json)
}

/// What the libraries say of themselves, and whether they can do what profiles ask of them.
#[utoipa::path(get, path = "/v1/crypto/hsm/info", tag = "crypto", params(ModuleQuery),
    responses((status = 200, description = "the libraries", body = HsmInfoList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn hsm_info(
    State(app): State<Arc<App>>,
    Query(query): Query<ModuleQuery>,
) -> Result<Json<HsmInfoList>> {
    app.hsm_info(query.module.as_deref()).await.map(Json)
}

/// What happened to modules, and what failed because of them.
#[utoipa::path(get, path = "/v1/crypto/hsm/logs", tag = "crypto", params(HsmLogsQuery),
    responses((status = 200, description = "lines of the operations log", body = LogList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn hsm_logs(
    State(app): State<Arc<App>>,
    Query(query): Query<HsmLogsQuery>,
) -> Result<Json<LogList>> {
    app.hsm_logs(LogQuery {
        level: query.level,
        since: query.since,
        filter: None,
        limit: query.limit,
    })
    .await
    .map(Json)
}

/// Go the way to the keys, step by step. The answer is 200 wherever it ended.
#[utoipa::path(post, path = "/v1/crypto/hsm/examine/{what}", tag = "crypto", params(ModuleQuery, ("what" = String, Path, description = "ping, pkcs11-status, test, connectivity or verify")),
    responses((status = 200, description = "the steps", body = HsmReport), (status = "4XX", description = "refused", body = Problem)))]
pub async fn hsm_examine(
    State(app): State<Arc<App>>,
    Path(what): Path<String>,
    Query(query): Query<ModuleQuery>,
) -> Result<Json<HsmReport>> {
    app.hsm_examine(query.module.as_deref(), what.parse()?)
        .await
        .map(Json)
}

/// Start new workers with libraries, PIN files and settings as they are now;
/// the old ones serve until the new ones have proved themselves.
#[utoipa::path(post, path = "/v1/crypto/hsm/reconnect", tag = "crypto", params(ModuleQuery),
    responses((status = 200, description = "the new workers, tested", body = HsmReport), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "a new worker did not prove itself; the old one stays", body = Problem)))]
pub async fn hsm_reconnect(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ModuleQuery>,
) -> Result<Json<HsmReport>> {
    app.hsm_reconnect(&caller, query.module.as_deref())
        .await
        .map(Json)
}

/// Move the signing of every profile, or of one, to the keys in a module; or
/// give it back.
#[utoipa::path(post, path = "/v1/crypto/hsm/failover", tag = "crypto", request_body = Failover,
    responses((status = 200, description = "who signs with what from now on", body = FailedOver), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "the key there did not sign", body = Problem)))]
pub async fn hsm_failover(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<Failover>,
) -> Result<Json<FailedOver>> {
    app.hsm_failover(&caller, &request).await.map(Json)
}

/// Try the PIN in the PIN file, once.
#[utoipa::path(post, path = "/v1/crypto/hsm/auth/verify", tag = "crypto", params(ModuleQuery), request_body = VerifyPin,
    responses((status = 200, description = "it was accepted", body = PinVerified), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "the token did not accept it, or it was not tried", body = Problem)))]
pub async fn hsm_auth_verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ModuleQuery>,
    Body(request): Body<VerifyPin>,
) -> Result<Json<PinVerified>> {
    app.verify_pin(&caller, query.module.as_deref(), request)
        .await
        .map(Json)
}

/// Try a new PIN once, and use it from now on. It is not written anywhere.
#[utoipa::path(post, path = "/v1/crypto/hsm/auth/update", tag = "crypto", params(ModuleQuery), request_body = UpdatePin,
    responses((status = 200, description = "it was accepted", body = PinVerified), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "the token did not accept it", body = Problem)))]
pub async fn hsm_auth_update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ModuleQuery>,
    Body(request): Body<UpdatePin>,
) -> Result<Json<PinVerified>> {
    app.update_pin(&caller, query.module.as_deref(), request)
        .await
        .map(Json)
}
