//! `/v1/anchors`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use stella_core::api::anchors::{
    AddKey, Anchor, AnchorList, AnchorStatus, CreateAnchor, Explanation, KeyAddition, UpdateAnchor,
};
use stella_core::api::keys::{Revocation, RevokeKey};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::Body;
use crate::app::{App, Caller, Result};

/// Trust anchors, oldest first.
#[utoipa::path(get, path = "/v1/anchors", tag = "anchors", 
    responses((status = 200, description = "done", body = AnchorList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<AnchorList>> {
    app.list_anchors().await.map(Json)
}

/// Make a trust anchor.
#[utoipa::path(post, path = "/v1/anchors", tag = "anchors", request_body = CreateAnchor, 
    responses((status = 201, description = "done", body = Anchor), (status = "4XX", description = "refused", body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<CreateAnchor>,
) -> Result<(StatusCode, Json<Anchor>)> {
    Ok((
        StatusCode::CREATED,
        Json(app.create_anchor(&caller, request).await?),
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct ExplainQuery {
    /// A package URL or another subject name.
    pub name: String,
}

/// Which anchor decides about a name, and why.
#[utoipa::path(get, path = "/v1/anchors/explain", tag = "anchors", params(ExplainQuery), 
    responses((status = 200, description = "done", body = Explanation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn explain(
    State(app): State<Arc<App>>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>> {
    app.explain_anchor(&query.name).await.map(Json)
}

/// One trust anchor.
#[utoipa::path(get, path = "/v1/anchors/{id}", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, or the beginning of it")), 
    responses((status = 200, description = "done", body = Anchor), (status = "4XX", description = "refused", body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Anchor>> {
    app.show_anchor(&id).await.map(Json)
}

/// Change what is given.
#[utoipa::path(patch, path = "/v1/anchors/{id}", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, or the beginning of it")), request_body = UpdateAnchor, 
    responses((status = 200, description = "done", body = Anchor), (status = "4XX", description = "refused", body = Problem)))]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<UpdateAnchor>,
) -> Result<Json<Anchor>> {
    app.update_anchor(&caller, &id, request).await.map(Json)
}

/// How its judgements stand.
#[utoipa::path(get, path = "/v1/anchors/{id}/status", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, or the beginning of it")), 
    responses((status = 200, description = "done", body = AnchorStatus), (status = "4XX", description = "refused", body = Problem)))]
pub async fn status(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<AnchorStatus>> {
    app.anchor_status(&id).await.map(Json)
}

/// Let it accept a further key.
#[utoipa::path(post, path = "/v1/anchors/{id}/keys", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, or ALL")), request_body = AddKey, 
    responses((status = 200, description = "done", body = KeyAddition), (status = "4XX", description = "refused", body = Problem)))]
pub async fn add_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<AddKey>,
) -> Result<Json<KeyAddition>> {
    app.add_key(&caller, &id, request).await.map(Json)
}

/// Revoke a key in it.
#[utoipa::path(post, path = "/v1/anchors/{id}/keys/{keyid}/revoke", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, or ALL"), ("keyid" = String, Path, description = "the key's id")), request_body = RevokeKey, 
    responses((status = 200, description = "done", body = Revocation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn revoke_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, keyid)): Path<(String, String)>,
    Body(request): Body<RevokeKey>,
) -> Result<Json<Revocation>> {
    app.revoke_key_in(&caller, &id, &keyid, request).await.map(Json)
}
