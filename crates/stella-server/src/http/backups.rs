//! `/v1/backups`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use stella_core::api::backup::CreateBackup;
use stella_core::api::problem::Problem;

use super::extract::Body;
use crate::app::backup::Pieces;
use crate::app::{App, Caller, Result};

/// A copy of the whole home, as an age file with a tar archive inside.
#[utoipa::path(post, path = "/v1/backups", tag = "status", request_body = CreateBackup,
    responses((status = 200, description = "the backup", body = Vec<u8>, content_type = "application/octet-stream"), (status = "4XX", description = "refused", body = Problem), (status = 503, description = "no backup was made", body = Problem)))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(request): Body<CreateBackup>,
) -> Result<Response> {
    let pieces = app.create_backup(&caller, request).await?;
    let body = Answer::new(Streamed(pieces));
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// As they are made; an error breaks the answer off.
struct Streamed(Pieces);

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.0.poll_recv(context);
        next.map(|piece| piece.map(|piece| piece.map(|bytes| Frame::data(bytes.into()))))
    }
}
