//! The HTTP API: extract, use case, respond. One file a resource; a route is
//! its handler there, one line in [`routes`] and one in [`access::TABLE`].

pub mod access;
pub mod anchors;
pub mod attestations;
pub mod audit;
pub mod backups;
pub mod config;
pub mod crypto;
pub mod doctor;
pub mod extract;
pub mod health;
pub mod keys;
pub mod local_hsm;
pub mod peer;
pub mod problem;
pub mod proofs;
pub mod replicas;
pub mod status;
pub mod tokens;
pub mod trust;
pub mod verify;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use tower::util::MapResponseLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

#[derive(OpenApi)]
#[openapi(info(
    title = "Stella",
    description = "Sign supply-chain evidence and verify it at any point in time.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Document;

/// Every route of the product.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(keys::list, keys::generate))
        .routes(routes!(keys::show))
        .routes(routes!(keys::import))
        .routes(routes!(keys::activate))
        .routes(routes!(keys::retire))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::add_store, keys::remove_store))
        .routes(routes!(keys::verify))
        .routes(routes!(keys::validity))
        .routes(routes!(keys::impact))
        .routes(routes!(keys::rotation_warnings))
        .routes(routes!(config::list))
        .routes(routes!(config::get, config::set, config::unset))
        .routes(routes!(config::reload))
        .routes(routes!(anchors::list, anchors::create))
        .routes(routes!(anchors::explain))
        .routes(routes!(anchors::show, anchors::update))
        .routes(routes!(anchors::status))
        .routes(routes!(anchors::add_key))
        .routes(routes!(anchors::revoke_key))
        .routes(routes!(audit::query))
        .routes(routes!(backups::create))
        .routes(routes!(crypto::providers))
        .routes(routes!(local_hsm::show))
        .routes(routes!(local_hsm::initialize))
        .routes(routes!(local_hsm::recover))
        .routes(routes!(crypto::hsm_status))
        .routes(routes!(crypto::hsm_slots))
        .routes(routes!(crypto::hsm_info))
        .routes(routes!(crypto::hsm_logs))
        .routes(routes!(crypto::hsm_examine))
        .routes(routes!(crypto::hsm_reconnect))
        .routes(routes!(crypto::hsm_failover))
        .routes(routes!(crypto::hsm_auth_verify))
        .routes(routes!(crypto::hsm_auth_update))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::openapi_json))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(attestations::list, attestations::create))
        .routes(routes!(attestations::import))
        .routes(routes!(attestations::retry))
        .routes(routes!(attestations::test_sign))
        .routes(routes!(attestations::last))
        .routes(routes!(attestations::show))
        .routes(routes!(attestations::envelope))
        .routes(routes!(attestations::bundle))
        .routes(routes!(attestations::integrity))
        .routes(routes!(attestations::resign))
        .routes(routes!(attestations::withdraw))
        .routes(routes!(verify::attestation))
        .routes(routes!(verify::artifact))
        .routes(routes!(verify::bundle))
        .routes(routes!(verify::bundles))
        .routes(routes!(verify::anchor))
        .routes(routes!(verify::proof))
        .routes(routes!(proofs::list, proofs::create))
        .routes(routes!(proofs::show))
        .routes(routes!(proofs::bundle))
        .routes(routes!(trust::bundle))
        .routes(routes!(trust::root))
        .routes(routes!(doctor::examine))
        .routes(routes!(replicas::list))
        .routes(routes!(status::status))
        .routes(routes!(status::logs))
        .routes(routes!(status::db_verify))
}

/// The OpenAPI 3.1 document of [`routes`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// The router that the server serves and the embedded client calls. Whoever
/// hands it a request must have put a [`peer::Peer`] into its extensions.
pub fn router(app: Arc<App>) -> Router {
    let (router, _) = routes().split_for_parts();
    let max_body = app.settings.limits.max_body_bytes;
    router
        .layer(from_fn_with_state(Arc::clone(&app), peer::admit))
        .merge(health::viewer())
        .layer(MapResponseLayer::new(problem::fill_in))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(app)
}
