//! Who is at the other end: this process itself, a local user, or somebody on
//! the network with a token.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use zeroize::Zeroizing;

use super::access;
use crate::app::{App, Caller, Error, ErrorKind, Result};

/// Put into a request's extensions by whatever accepted the connection.
#[derive(Debug, Clone)]
pub enum Peer {
    /// The command runs in this very process.
    Embedded {
        user: String,
    },
    /// Over the Unix socket; the kernel says who.
    Local {
        uid: u32,
        user: String,
    },
    Network,
}

/// Who asks, and whether they may: what the routes lie behind.
pub async fn admit(
    State(app): State<Arc<App>>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(error) = authenticate(&app, &mut request).await {
        return error.into_response();
    }
    // What is declared for no path is let through to nobody.
    let Some(path) = path else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match access::authorize(&request, path.as_str()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Turns the peer into a [`Caller`]. The owner is one with or without a token;
/// no caller is put in where nobody proved who they are; what needs one is
/// then refused.
async fn authenticate(app: &App, request: &mut Request) -> Result<()> {
    let Some(peer) = request.extensions().get::<Peer>() else {
        return Ok(());
    };
    let caller = match (owner(peer), bearer(request)) {
        (Some(owner), _) => Some(owner),
        (None, None) => None,
        (None, Some(secret)) if proves_at_commit(request) => {
            let (caller, remembered) = app.remembered_caller(&secret).await?;
            request.extensions_mut().insert(remembered);
            Some(caller)
        }
        (None, Some(secret)) => Some(app.token_caller(&secret).await?),
    };
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    Ok(())
}

/// Signing is what is done most, and what is stored is stored only while
/// nothing was revoked since: see [`App::remembered_caller`].
fn proves_at_commit(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == "/v1/attestations"
}

pub fn unauthenticated() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "access.unauthenticated",
        "no valid token was presented",
    )
    .next("give one with --token or STELLA_TOKEN; stella token create makes one")
}

/// This process, the server's own user and root own the home; whoever else
/// asks needs a token, over the socket as over the network.
fn owner(peer: &Peer) -> Option<Caller> {
    let user = match peer {
        Peer::Embedded { user } => user,
        Peer::Local { uid, user } => {
            let me = rustix::process::geteuid().as_raw();
            (*uid == me || *uid == 0).then_some(user)?
        }
        Peer::Network => return None,
    };
    Some(Caller::owner(format!("local:{user}")))
}

fn bearer(request: &Request) -> Option<Zeroizing<String>> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Zeroizing::new(secret.trim().to_owned()))
}
