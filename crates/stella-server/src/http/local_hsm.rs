//! `/v1/crypto/local-hsm`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use stella_core::api::local_hsm::{LocalHsm, LocalHsmMade, RecoverLocalHsm};
use stella_core::api::problem::Problem;

use super::extract::Body;
use crate::app::{App, Caller, Result};

/// A local HSM, as it is known without its PIN.
#[utoipa::path(get, path = "/v1/crypto/local-hsm/{name}", tag = "crypto", params(("name" = String, Path, description = "in hsm.local")),
    responses((status = 200, description = "the local HSM", body = LocalHsm), (status = "4XX", description = "refused", body = Problem)))]
pub async fn show(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<LocalHsm>> {
    app.local_hsm(&name).await.map(Json)
}

/// Make one, with the PIN in its file. The recovery code is shown this once.
#[utoipa::path(post, path = "/v1/crypto/local-hsm/{name}/init", tag = "crypto", params(("name" = String, Path, description = "in hsm.local")),
    responses((status = 200, description = "the local HSM, and its recovery code", body = LocalHsmMade), (status = "4XX", description = "refused", body = Problem)))]
pub async fn initialize(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<LocalHsmMade>> {
    app.initialize_local_hsm(&caller, &name).await.map(Json)
}

/// Set the PIN that its file holds now, with the recovery code.
#[utoipa::path(post, path = "/v1/crypto/local-hsm/{name}/recover", tag = "crypto", params(("name" = String, Path, description = "in hsm.local")), request_body = RecoverLocalHsm,
    responses((status = 200, description = "the local HSM, unlocked", body = LocalHsm), (status = "4XX", description = "refused", body = Problem)))]
pub async fn recover(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Body(request): Body<RecoverLocalHsm>,
) -> Result<Json<LocalHsm>> {
    app.recover_local_hsm(&caller, &name, request.recovery_code)
        .await
        .map(Json)
}
