//! `/v1/anchors`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use stella_core::api::anchors::{
    AddKey, Anchor, AnchorList, AnchorStatus, CreateAnchor, Explanation, KeyAddition, UpdateAnchor,
};
use stella_core::api::keys::{Revocation, RevokeKey};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::{Body, Query};
use crate::app::{App, Caller, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// A package URL or a plain name.
    pub name: String,
}

/// Every trust anchor.
#[utoipa::path(get, path = "/v1/anchors", tag = "anchors",
    responses((status = 200, description = "the anchors", body = AnchorList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<AnchorList>> {
    app.list_anchors().await.map(Json)
}

/// Make a trust anchor.
#[utoipa::path(post, path = "/v1/anchors", tag = "anchors", request_body = CreateAnchor,
    responses((status = 201, description = "the anchor", body = Anchor), (status = "4XX", description = "refused", body = Problem)))]
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

/// Which anchor decides about a name, and why.
#[utoipa::path(get, path = "/v1/anchors/explain", tag = "anchors", params(ExplainQuery),
    responses((status = 200, description = "the anchors that match, and those that nearly do", body = Explanation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn explain(
    State(app): State<Arc<App>>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>> {
    app.explain_anchor(&query.name).await.map(Json)
}

/// One trust anchor.
#[utoipa::path(get, path = "/v1/anchors/{id}", tag = "anchors", params(("id" = String, Path, description = "the anchor's id or a unique prefix")),
    responses((status = 200, description = "the anchor", body = Anchor), (status = "4XX", description = "refused", body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Anchor>> {
    app.show_anchor(&id).await.map(Json)
}

/// Change what an anchor demands; only what is given changes.
#[utoipa::path(patch, path = "/v1/anchors/{id}", tag = "anchors", params(("id" = String, Path, description = "the anchor's id or a unique prefix")), request_body = UpdateAnchor,
    responses((status = 200, description = "the anchor", body = Anchor), (status = "4XX", description = "refused", body = Problem)))]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<UpdateAnchor>,
) -> Result<Json<Anchor>> {
    app.update_anchor(&caller, &id, request).await.map(Json)
}

/// Its active keys, and how much of what it judges passes.
#[utoipa::path(get, path = "/v1/anchors/{id}/status", tag = "anchors", params(("id" = String, Path, description = "the anchor's id or a unique prefix")),
    responses((status = 200, description = "the state of the anchor", body = AnchorStatus), (status = "4XX", description = "refused", body = Problem)))]
pub async fn status(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<AnchorStatus>> {
    app.anchor_status(&id).await.map(Json)
}

/// Let a key into an anchor, or into all that hold or held one of its profile.
#[utoipa::path(post, path = "/v1/anchors/{id}/keys", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, a unique prefix, or ALL")), request_body = AddKey,
    responses((status = 200, description = "where it was added, or would be", body = KeyAddition), (status = "4XX", description = "refused", body = Problem)))]
pub async fn add_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<AddKey>,
) -> Result<Json<KeyAddition>> {
    app.add_anchor_key(&caller, &id, request).await.map(Json)
}

/// Revoke a key in an anchor, or in all that hold it.
#[utoipa::path(post, path = "/v1/anchors/{id}/keys/{keyid}/revoke", tag = "anchors", params(("id" = String, Path, description = "the anchor's id, a unique prefix, or ALL"), ("keyid" = String, Path, description = "the key's id")), request_body = RevokeKey,
    responses((status = 200, description = "what it touched, or would touch", body = Revocation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn revoke_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
    Body(request): Body<RevokeKey>,
) -> Result<Json<Revocation>> {
    app.revoke_anchor_key(&caller, &id, &key, request).await.map(Json)
}
