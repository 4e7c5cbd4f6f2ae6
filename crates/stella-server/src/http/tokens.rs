//! `/v1/tokens`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use stella_core::api::problem::Problem;
use stella_core::api::tokens::{CreateToken, Token, TokenCreated, TokenList};

use super::extract::Body;
use crate::app::{App, Caller, Result};

/// Access tokens, the newest first; never their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, description = "the tokens", body = TokenList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<TokenList>> {
    app.list_tokens().await.map(Json)
}

/// Make a token. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, description = "the token and its secret", body = TokenCreated), (status = "4XX", description = "refused", body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<CreateToken>,
) -> Result<(StatusCode, Json<TokenCreated>)> {
    Ok((
        StatusCode::CREATED,
        Json(app.create_token(&caller, request).await?),
    ))
}

/// End a token at once.
#[utoipa::path(post, path = "/v1/tokens/{id}/revoke", tag = "tokens",
    params(("id" = String, Path, description = "the token's id, the beginning of one, or its name")),
    responses((status = 200, description = "the token", body = Token), (status = "4XX", description = "refused", body = Problem)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Token>> {
    app.revoke_token(&caller, &id).await.map(Json)
}
