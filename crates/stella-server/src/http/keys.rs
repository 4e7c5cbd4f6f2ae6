//! `/v1/signer/keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use stella_core::api::keys::{
    AddStore, GenerateKey, Impact, ImportKey, Key, KeyChange, KeyList, KeyVerified, Revocation, RevokeKey,
    RotationWarnings, Validity, VerifyKey,
};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::{Body, Query};
use crate::app::keys::ImpactQuery;
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct ValidityQuery {
    /// RFC 3339, a date, or NOW (the default).
    pub at_time: Option<String>,
}

/// Bring in a key made elsewhere.
#[utoipa::path(post, path = "/v1/signer/keys/import", tag = "keys", request_body = ImportKey,
    responses((status = 201, description = "the key", body = Key), (status = "4XX", description = "refused", body = Problem)))]
pub async fn import(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<ImportKey>,
) -> Result<(StatusCode, Json<Key>)> {
    Ok((StatusCode::CREATED, Json(app.import_key(&caller, request).await?)))
}

/// Make a key the one its profile signs with.
#[utoipa::path(post, path = "/v1/signer/keys/{id}/activate", tag = "keys", params(("id" = String, Path, description = "the key's id")),
    responses((status = 200, description = "what it did", body = KeyChange), (status = "4XX", description = "refused", body = Problem)))]
pub async fn activate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<KeyChange>> {
    app.activate_key(&caller, &id).await.map(Json)
}

/// End signing with a key; what it signed stays valid.
#[utoipa::path(post, path = "/v1/signer/keys/{id}/retire", tag = "keys", params(("id" = String, Path, description = "the key's id")),
    responses((status = 200, description = "what it did", body = KeyChange), (status = "4XX", description = "refused", body = Problem)))]
pub async fn retire(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<KeyChange>> {
    app.retire_key(&caller, &id).await.map(Json)
}

/// Revoke a key in every anchor and end signing with it.
#[utoipa::path(post, path = "/v1/signer/keys/{id}/revoke", tag = "keys", params(("id" = String, Path, description = "the key's id")), request_body = RevokeKey,
    responses((status = 200, description = "what it touched, or would touch", body = Revocation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<RevokeKey>,
) -> Result<Json<Revocation>> {
    app.revoke_key(&caller, &id, request).await.map(Json)
}

/// The same key in a further token or KMS, where it signs while its first store cannot.
#[utoipa::path(post, path = "/v1/signer/keys/{id}/stores", tag = "keys", params(("id" = String, Path, description = "the key's id")), request_body = AddStore,
    responses((status = 200, description = "the key", body = Key), (status = "4XX", description = "refused", body = Problem)))]
pub async fn add_store(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<AddStore>,
) -> Result<Json<Key>> {
    app.add_key_store(&caller, &id, request).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct StoreQuery {
    /// As the key shows it.
    pub key_store: String,
}

/// End signing with a key in one of its stores; nothing is deleted there.
#[utoipa::path(delete, path = "/v1/signer/keys/{id}/stores", tag = "keys", params(("id" = String, Path, description = "the key's id"), StoreQuery),
    responses((status = 200, description = "the key", body = Key), (status = "4XX", description = "refused", body = Problem)))]
pub async fn remove_store(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<StoreQuery>,
) -> Result<Json<Key>> {
    app.remove_key_store(&caller, &id, &query.key_store)
        .await
        .map(Json)
}

/// Sign a nonce with a key, under a payload type of its own.
#[utoipa::path(post, path = "/v1/signer/keys/{id}/verify", tag = "keys", params(("id" = String, Path, description = "the key's id")), request_body = VerifyKey,
    responses((status = 200, description = "it can", body = KeyVerified), (status = "4XX", description = "refused", body = Problem)))]
pub async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<VerifyKey>,
) -> Result<Json<KeyVerified>> {
    app.verify_key(&caller, &id, request).await.map(Json)
}

/// Whether a key was valid at a moment, anchor by anchor.
#[utoipa::path(get, path = "/v1/signer/keys/{id}/validity", tag = "keys", params(("id" = String, Path, description = "the key's id"), ValidityQuery),
    responses((status = 200, description = "its validity then", body = Validity), (status = "4XX", description = "refused", body = Problem)))]
pub async fn validity(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ValidityQuery>,
) -> Result<Json<Validity>> {
    app.key_validity(&id, query.at_time.as_deref()).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImpactPage {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many attestations to look at; without it and a cursor all that one
    /// question may have judged.
    pub limit: Option<usize>,
}

/// What the end of a key changed.
#[utoipa::path(get, path = "/v1/signer/keys/{id}/impact", tag = "keys", params(("id" = String, Path, description = "the key's id"), ImpactPage),
    responses((status = 200, description = "what it signed, judged now and had it not ended", body = Impact), (status = "4XX", description = "refused", body = Problem)))]
pub async fn impact(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ImpactPage>,
) -> Result<Json<Impact>> {
    let asked = ImpactQuery {
        cursor: query.cursor,
        limit: query.limit,
    };
    app.key_impact(&id, asked).await.map(Json)
}

/// How near each signing key is to its end.
#[utoipa::path(get, path = "/v1/signer/rotation-warnings", tag = "keys",
    responses((status = 200, description = "signing keys, the most urgent first", body = RotationWarnings), (status = "4XX", description = "refused", body = Problem)))]
pub async fn rotation_warnings(State(app): State<Arc<App>>) -> Result<Json<RotationWarnings>> {
    app.rotation_warnings().await.map(Json)
}
