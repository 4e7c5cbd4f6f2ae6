//! Extractors whose refusals are ours.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use stella_core::json::{self, JsonLimits, Object};

use zeroize::Zeroize as _;

use crate::app::{App, Caller, Error, ErrorKind};

/// JSON whatever the Content-Type says, so that a plain `curl -d` works;
/// duplicate keys and excessive depth are refused. An empty body is `{}`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let limits = &app.settings.limits;
        let bytes = Bytes::from_request(request, app).await.map_err(|rejection| {
            if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
                let limit = limits.max_body_bytes;
                Error::new(
                    ErrorKind::TooLarge,
                    "body.too-large",
                    format!("the body is over {limit} bytes (limits.maxBodyBytes)"),
                )
            } else {
                Error::invalid("body.unreadable", rejection.body_text())
            }
        })?;
        let bounds = JsonLimits {
            max_bytes: limits.max_body_bytes,
            max_depth: limits.max_json_depth,
        };
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let parsed = json::parse(text, &bounds);
        drop(cleansed(bytes));
        parsed
            .map(|Object(request)| Self(request))
            .map_err(|e| Error::invalid(e.code(), e))
    }
}

/// A body may hold a private key. Bytes that somebody else holds as well (a
/// connection's buffer) are left to them.
fn cleansed(bytes: Bytes) -> Option<impl AsRef<[u8]>> {
    let mut alone = bytes.try_into_mut().ok()?;
    alone.zeroize();
    Some(alone)
}

/// What follows the `?`, refused with what is wrong in it.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Error::invalid("query.syntax", rejection.body_text()))
    }
}

/// The identity that `authenticate` found.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(super::peer::unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_nobody_else_holds_is_cleansed() {
        let body = Bytes::from(b"a private key".to_vec());
        let shared = body.clone();
        assert!(cleansed(body).is_none());
        assert_eq!(&shared[..], b"a private key");
        let left = cleansed(shared).expect("nobody else holds it");
        assert!(left.as_ref().iter().all(|byte| *byte == 0));
    }
}
