//! `/v1/verify`. A verdict is an answer, so the status is 200 whatever it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use stella_core::api::problem::Problem;
use stella_core::api::proofs::{ProofVerdict, VerifyProof};
use stella_core::api::verify::{
    VerdictList, VerdictReport, VerifyAnchor, VerifyArtifact, VerifyAttestation, VerifyBundle, VerifyBundles,
};

use super::extract::Body;
use crate::app::{App, Caller, Result};

/// Judge a stored attestation; every subject must pass.
#[utoipa::path(post, path = "/v1/verify/attestation", tag = "verify", request_body = VerifyAttestation,
    responses((status = 200, description = "the verdict", body = VerdictReport), (status = "4XX", description = "refused", body = Problem)))]
pub async fn attestation(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<VerifyAttestation>,
) -> Result<Json<VerdictReport>> {
    app.verify_attestation(&caller, request).await.map(Json)
}

/// Judge an artifact by everything stored about its digest.
#[utoipa::path(post, path = "/v1/verify/artifact", tag = "verify", request_body = VerifyArtifact,
    responses((status = 200, description = "the verdict", body = VerdictReport), (status = "4XX", description = "refused", body = Problem)))]
pub async fn artifact(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<VerifyArtifact>,
) -> Result<Json<VerdictReport>> {
    app.verify_artifact(&caller, request).await.map(Json)
}

/// Judge a document that comes with the question.
#[utoipa::path(post, path = "/v1/verify/bundle", tag = "verify", request_body = VerifyBundle,
    responses((status = 200, description = "the verdict", body = VerdictReport), (status = "4XX", description = "refused", body = Problem)))]
pub async fn bundle(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<VerifyBundle>,
) -> Result<Json<VerdictReport>> {
    app.verify_bundle(&caller, request).await.map(Json)
}

/// Judge many documents, each by itself.
#[utoipa::path(post, path = "/v1/verify/bundles", tag = "verify", request_body = VerifyBundles,
    responses((status = 200, description = "the verdicts, in the order of the documents", body = VerdictList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn bundles(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<VerifyBundles>,
) -> Result<Json<VerdictList>> {
    app.verify_bundles(&caller, request).await.map(Json)
}

/// Judge a page of what is stored about which one anchor decides.
#[utoipa::path(post, path = "/v1/verify/anchor", tag = "verify", request_body = VerifyAnchor,
    responses((status = 200, description = "the verdicts, newest first", body = VerdictList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn anchor(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<VerifyAnchor>,
) -> Result<Json<VerdictList>> {
    app.verify_anchor(&caller, request).await.map(Json)
}

/// Judge a proof bundle: its address, its spine, the root and every member.
#[utoipa::path(post, path = "/v1/verify/proof", tag = "verify", request_body = VerifyProof,
    responses((status = 200, description = "the verdict", body = ProofVerdict), (status = "4XX", description = "refused", body = Problem)))]
pub async fn proof(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<VerifyProof>,
) -> Result<Json<ProofVerdict>> {
    app.verify_proof(&caller, request).await.map(Json)
}
