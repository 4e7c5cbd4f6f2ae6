//! `/v1/proofs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde::Deserialize;
use stella_core::api::problem::Problem;
use stella_core::api::proofs::{CreateProof, Proof, ProofList};
use utoipa::IntoParams;

use super::extract::{Body, Query};
use crate::app::proof::ProofQuery;
use crate::app::{App, Caller, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    /// The name of what they are about, or its digest as sha256:HEX.
    pub subject: Option<String>,
    /// Only those that hold this attestation.
    pub attestation: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

/// Proofs, newest first.
#[utoipa::path(get, path = "/v1/proofs", tag = "proofs", params(ListQuery),
    responses((status = 200, description = "a page of proofs", body = ProofList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>, Query(query): Query<ListQuery>) -> Result<Json<ProofList>> {
    app.list_proofs(ProofQuery {
        subject: query.subject,
        attestation: query.attestation,
        cursor: query.cursor,
        limit: query.limit,
    })
    .await
    .map(Json)
}

/// Make a proof of what is attested about one subject. Repeating it is safe.
#[utoipa::path(post, path = "/v1/proofs", tag = "proofs", request_body = CreateProof,
    responses((status = 201, description = "made", body = Proof), (status = 200, description = "was here already", body = Proof),
        (status = 202, description = "the spine is recorded, not signed yet", body = Proof), (status = "4XX", description = "refused", body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<CreateProof>,
) -> Result<(StatusCode, Json<Proof>)> {
    let proof = app.create_proof(&caller, request).await?;
    let status = match (&proof.id, proof.repeated) {
        (None, _) => StatusCode::ACCEPTED,
        (Some(_), true) => StatusCode::OK,
        (Some(_), false) => StatusCode::CREATED,
    };
    Ok((status, Json(proof)))
}

/// What a proof is made of, and whether it passes now.
#[utoipa::path(get, path = "/v1/proofs/{address}", tag = "proofs", params(("address" = String, Path, description = "sha256:HEX or a unique prefix")),
    responses((status = 200, description = "the proof", body = Proof), (status = "4XX", description = "refused", body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, Path(address): Path<String>) -> Result<Json<Proof>> {
    app.show_proof(&address).await.map(Json)
}

/// The bundle's exact bytes: their SHA-256 is the address.
#[utoipa::path(get, path = "/v1/proofs/{address}/bundle", tag = "proofs", params(("address" = String, Path, description = "sha256:HEX or a unique prefix")),
    responses((status = 200, description = "the bundle", content_type = "application/json"), (status = "4XX", description = "refused", body = Problem)))]
pub async fn bundle(State(app): State<Arc<App>>, Path(address): Path<String>) -> Result<impl IntoResponse> {
    let bytes = app.export_proof(&address).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes))
}
