//! Errors as RFC 9457 problem documents: one exhaustive match.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use stella_core::api::problem::{CONTENT_TYPE, Problem};

use crate::app::{Error, ErrorKind};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = status(self.kind);
        // What is ours to mend is told to the log in full, to the client in brief.
        let (detail, causes) = if self.kind == ErrorKind::Internal {
            tracing::error!(code = %self.code, causes = ?self.causes, "{}", self.message);
            match self.code.as_str() {
                "internal" => (
                    "an internal error; the server's log has the detail".to_owned(),
                    Vec::new(),
                ),
                _ => (self.message, Vec::new()),
            }
        } else {
            (self.message, self.causes)
        };
        let problem = Problem {
            kind: format!("urn:stella:problem:{}", self.code),
            title: title(self.kind).to_owned(),
            status: status.as_u16(),
            detail,
            code: self.code,
            causes,
            next: self.next,
            trace: self.trace.map(|t| *t),
        };
        respond(status, &problem)
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn title(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "the request makes no sense",
        ErrorKind::TooLarge => "the request is too large",
        ErrorKind::Unauthenticated => "not authenticated",
        ErrorKind::Denied => "not allowed",
        ErrorKind::NotFound => "not found",
        ErrorKind::Conflict => "the present state does not allow it",
        ErrorKind::Refused => "refused",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Internal => "internal error",
    }
}

/// The framework's own refusals (no such route, wrong method, body limit) in
/// the same form as ours.
pub fn fill_in(response: Response) -> Response {
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| {
        t.as_bytes().starts_with(b"application/problem") || t.as_bytes().starts_with(b"application/json")
    });
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("route.unknown", "there is no such resource"),
        StatusCode::METHOD_NOT_ALLOWED => ("route.method", "this resource does not take that method"),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "body.too-large",
            "the body is over the limit (limits.maxBodyBytes)",
        ),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            ("request.timeout", "the request took too long")
        }
        _ => ("request.refused", "the request was refused"),
    };
    let problem = Problem {
        kind: format!("urn:stella:problem:{code}"),
        title: status.canonical_reason().unwrap_or("error").to_lowercase(),
        status: status.as_u16(),
        detail: detail.to_owned(),
        code: code.to_owned(),
        causes: Vec::new(),
        next: None,
        trace: None,
    };
    let mut refusal = respond(status, &problem);
    if let Some(allow) = allow {
        refusal.headers_mut().insert(header::ALLOW, allow);
    }
    refusal
}

fn respond(status: StatusCode, problem: &Problem) -> Response {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
