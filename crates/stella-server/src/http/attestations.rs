//! `/v1/attestations`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use stella_core::api::attestations::{
    Attestation, AttestationDetails, AttestationList, CreateAttestation, Created, ImportAttestation,
    Integrity, Resign, Retried, Retry, TestSign, TestSigned, Withdraw,
};
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::{Body, Query};
use crate::app::attest::{AttestationQuery, CreateOptions, Wait};
use crate::app::tokens::Remembered;
use crate::app::{App, Caller, Error, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct CreateQuery {
    /// recorded, signed, logged: how long to hold the answer.
    pub wait: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    /// recorded, signed, failed, held.
    pub state: Option<String>,
    /// Short name or URI.
    #[serde(rename = "type")]
    pub predicate_type: Option<String>,
    pub subject: Option<String>,
    #[serde(alias = "keyid")]
    pub key_id: Option<String>,
    /// Only those that a standby key signed in the active key's stead.
    #[serde(default)]
    pub signed_by_standby: bool,
    /// RFC 3339, or a date.
    pub since: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

/// Attestations, newest first.
#[utoipa::path(get, path = "/v1/attestations", tag = "attestations", params(ListQuery),
    responses((status = 200, description = "a page of attestations", body = AttestationList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<AttestationList>> {
    app.list_attestations(AttestationQuery {
        state: query.state,
        predicate_type: query.predicate_type,
        subject: query.subject,
        key_id: query.key_id,
        signed_by_standby: query.signed_by_standby,
        since: query.since,
        cursor: query.cursor,
        limit: query.limit,
    })
    .await
    .map(Json)
}

/// Have a statement signed. `Idempotency-Key` makes a repetition safe.
#[utoipa::path(post, path = "/v1/attestations", tag = "attestations", request_body = CreateAttestation,
    params(CreateQuery, ("Idempotency-Key" = Option<String>, Header, description = "binds identity, route and content")),
    responses((status = 201, description = "signed", body = Created), (status = 200, description = "answered again", body = Created),
        (status = 202, description = "recorded, not signed yet", body = Created), (status = "4XX", description = "refused", body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    remembered: Option<Extension<Remembered>>,
    Query(query): Query<CreateQuery>,
    headers: HeaderMap,
    Body(request): Body<CreateAttestation>,
) -> Result<(StatusCode, Json<Created>)> {
    let wait = query
        .wait
        .as_deref()
        .map(Wait::parse)
        .transpose()?
        .unwrap_or_default();
    let idempotency_key = headers
        .get("idempotency-key")
        .map(|v| {
            v.to_str()
                .map(str::to_owned)
                .map_err(|_| Error::invalid("idempotency.key", "the Idempotency-Key is not ASCII"))
        })
        .transpose()?;
    let created = app
        .create_attestation(
            &caller,
            request,
            CreateOptions {
                idempotency_key,
                wait,
                remembered: remembered.map(|Extension(remembered)| remembered),
            },
        )
        .await?;
    let status = if created.attestations.iter().any(|a| a.state != "signed") {
        StatusCode::ACCEPTED
    } else if created.attestations.iter().all(|a| a.repeated) {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(created)))
}

/// Record somebody else's envelope or bundle.
#[utoipa::path(post, path = "/v1/attestations/import", tag = "attestations", request_body = ImportAttestation,
    responses((status = 201, description = "recorded", body = Attestation), (status = 200, description = "was here already", body = Attestation),
        (status = "4XX", description = "refused", body = Problem)))]
pub async fn import(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<ImportAttestation>,
) -> Result<(StatusCode, Json<Attestation>)> {
    let imported = app.import_attestation(&caller, request).await?;
    let status = if imported.repeated {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(imported)))
}

/// Sign now what is recorded without a signature.
#[utoipa::path(post, path = "/v1/attestations/retry", tag = "attestations", request_body = Retry,
    responses((status = 200, description = "what became of each", body = Retried), (status = "4XX", description = "refused", body = Problem)))]
pub async fn retry(State(app): State<Arc<App>>, Body(request): Body<Retry>) -> Result<Json<Retried>> {
    app.retry_attestations(request).await.map(Json)
}

/// Sign a nonce, to see that signing works.
#[utoipa::path(post, path = "/v1/attestations/test-sign", tag = "attestations", request_body = TestSign,
    responses((status = 200, description = "signed and verified", body = TestSigned), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "signing failed", body = Problem)))]
pub async fn test_sign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<TestSign>,
) -> Result<Json<TestSigned>> {
    app.test_sign(&caller, request).await.map(Json)
}

/// The last one this identity had attested.
#[utoipa::path(get, path = "/v1/attestations/last", tag = "attestations",
    responses((status = 200, description = "the attestation", body = Attestation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn last(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Attestation>> {
    app.last_attestation(&caller).await.map(Json)
}

/// Everything about one, by id or unique prefix.
#[utoipa::path(get, path = "/v1/attestations/{id}", tag = "attestations", params(("id" = String, Path, description = "id or unique prefix")),
    responses((status = 200, description = "the attestation", body = AttestationDetails), (status = "4XX", description = "refused", body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<AttestationDetails>> {
    app.show_attestation(&id).await.map(Json)
}

/// The DSSE envelope, exactly as stored.
#[utoipa::path(get, path = "/v1/attestations/{id}/envelope", tag = "attestations", params(("id" = String, Path, description = "id or unique prefix")),
    responses((status = 200, description = "the envelope's bytes", content_type = "application/json"), (status = "4XX", description = "refused", body = Problem)))]
pub async fn envelope(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let bytes = app.attestation_envelope(&id).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes))
}

/// The envelope as a Sigstore bundle v0.3.
#[utoipa::path(get, path = "/v1/attestations/{id}/bundle", tag = "attestations", params(("id" = String, Path, description = "id or unique prefix")),
    responses((status = 200, description = "the bundle", content_type = "application/json"), (status = "4XX", description = "refused", body = Problem)))]
pub async fn bundle(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<impl IntoResponse> {
    let bytes = app.attestation_bundle(&id).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes))
}

/// Compare the stored bytes with every digest of them.
#[utoipa::path(get, path = "/v1/attestations/{id}/integrity", tag = "attestations", params(("id" = String, Path, description = "id or unique prefix")),
    responses((status = 200, description = "each comparison", body = Integrity), (status = "4XX", description = "refused", body = Problem)))]
pub async fn integrity(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Integrity>> {
    app.check_integrity(&id).await.map(Json)
}

/// Sign the same payload with a current key.
#[utoipa::path(post, path = "/v1/attestations/{id}/resign", tag = "attestations", request_body = Resign, params(("id" = String, Path, description = "id or unique prefix")),
    responses((status = 201, description = "the new attestation", body = Attestation), (status = 202, description = "recorded, not signed yet", body = Attestation),
        (status = "4XX", description = "refused", body = Problem)))]
pub async fn resign(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<Resign>,
) -> Result<(StatusCode, Json<Attestation>)> {
    let new = app.resign_attestation(&caller, &id, request).await?;
    let status = if new.state == "signed" {
        StatusCode::CREATED
    } else {
        StatusCode::ACCEPTED
    };
    Ok((status, Json(new)))
}

/// Take a statement back, for ever.
#[utoipa::path(post, path = "/v1/attestations/{id}/withdraw", tag = "attestations", request_body = Withdraw, params(("id" = String, Path, description = "id or unique prefix")),
    responses((status = 200, description = "the attestation", body = Attestation), (status = "4XX", description = "refused", body = Problem)))]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<Withdraw>,
) -> Result<Json<Attestation>> {
    app.withdraw_attestation(&caller, &id, request).await.map(Json)
}
