//! `/v1/signer/keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use stella_core::api::keys::{GenerateKey, Key, KeyList};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::Body;
use crate::app::{App, Caller, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    /// signing, log, timestamp, feed.
    #[serde(rename = "type")]
    pub key_type: Option<String>,
    /// pending, standby, active, retiring, retired, revoked, compromised, external.
    pub status: Option<String>,
    pub profile: Option<String>,
    /// Seconds until the end of the key's life.
    pub expiring_within_seconds: Option<u64>,
}

/// Keys, by name.
#[utoipa::path(get, path = "/v1/signer/keys", tag = "keys", params(ListQuery),
    responses((status = 200, description = "the keys", body = KeyList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>, Query(query): Query<ListQuery>) -> Result<Json<KeyList>> {
    app.list_keys(crate::app::keys::KeyFilter {
        key_type: query.key_type,
        status: query.status,
        profile: query.profile,
        expiring_within: query.expiring_within_seconds.map(std::time::Duration::from_secs),
    })
    .await
    .map(Json)
}

/// Make a key in its profile's store.
#[utoipa::path(post, path = "/v1/signer/keys", tag = "keys", request_body = GenerateKey,
    responses((status = 201, description = "the key", body = Key), (status = "4XX", description = "refused", body = Problem)))]
pub async fn generate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<GenerateKey>,
) -> Result<(StatusCode, Json<Key>)> {
    Ok((
        StatusCode::CREATED,
        Json(app.generate_key(&caller, request).await?),
    ))
}

/// One key.
#[utoipa::path(get, path = "/v1/signer/keys/{id}", tag = "keys", params(("id" = String, Path, description = "the key's id")),
    responses((status = 200, description = "the key", body = Key), (status = "4XX", description = "refused", body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Key>> {
    app.show_key(&id).await.map(Json)
}
