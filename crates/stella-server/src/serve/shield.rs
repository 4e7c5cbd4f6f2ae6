//! What stands between the network and the routes: bounds on how many
//! requests run and how long, a handler that panics, a line in the log.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::Error;
use crate::config::ServerSettings;
use crate::http::health::Draining;

/// Probes are answered however busy the server is.
const UNBOUNDED: [&str; 2] = ["/healthz", "/readyz"];

/// Reads or signs everything there is; as long as that takes.
const LONG: [&str; 2] = ["/v1/db/verify", "/v1/attestations/retry"];

#[derive(Clone)]
struct Bounds {
    running: Arc<Semaphore>,
    max_running: usize,
    patience: Duration,
}

pub fn around(router: Router, settings: &ServerSettings, draining: Draining) -> Router {
    let max_running = settings.max_concurrent_requests.clamp(1, Semaphore::MAX_PERMITS);
    let bounds = Bounds {
        running: Arc::new(Semaphore::new(max_running)),
        max_running,
        patience: settings.request_timeout,
    };
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(bounds, bound))
        .layer(Extension(draining))
}

async fn bound(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if UNBOUNDED.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let begun = Instant::now();
    let response = within(&bounds, LONG.contains(&path.as_str()), request, next).await;
    // The path holds names and ids; the query and the headers stay out.
    tracing::info!(%method, path, status = response.status().as_u16(), ms = begun.elapsed().as_millis(), "request");
    response
}

async fn within(bounds: &Bounds, long: bool, request: Request, next: Next) -> Response {
    let Ok(slot) = timeout(bounds.patience, bounds.running.acquire()).await else {
        return busy(bounds.max_running).into_response();
    };
    let _slot = slot;
    if long {
        return next.run(request).await;
    }
    match timeout(bounds.patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => too_slow(bounds.patience).into_response(),
    }
}

fn busy(max: usize) -> Error {
    Error::unavailable(
        "server.busy",
        format!("{max} requests run already (server.maxConcurrentRequests); nothing was done"),
    )
    .next("repeat it a little later")
}

fn too_slow(patience: Duration) -> Error {
    let seconds = patience.as_secs_f32();
    Error::unavailable(
        "request.timeout",
        format!("no answer within {seconds} s (server.requestTimeout); it may have been done all the same"),
    )
    .next("repeat with the same Idempotency-Key; it is not done twice")
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word");
    Error::internal(format!("a handler panicked: {said}")).into_response()
}
