//! Which route needs which permission. A route that is not in this table is
//! refused to everybody; a test holds the table against the routes.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::{Method, StatusCode};

use crate::app::{Caller, Error, Permission};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Public,
    Needs(Permission),
}

use Access::Needs;
use Permission as P;

pub const TABLE: &[(Method, &str, Access)] = &[
    (Method::GET, "/healthz", Access::Public),
    (Method::GET, "/readyz", Access::Public),
    (Method::GET, "/openapi.json", Access::Public),
    (Method::GET, "/v1/tokens", Needs(P::ManageTokens)),
    (Method::POST, "/v1/tokens", Needs(P::ManageTokens)),
    (Method::POST, "/v1/tokens/{id}/revoke", Needs(P::ManageTokens)),
    (Method::GET, "/v1/signer/keys", Needs(P::ReadKeys)),
    (Method::POST, "/v1/signer/keys", Needs(P::ManageKeys)),
    (Method::GET, "/v1/signer/keys/{id}", Needs(P::ReadKeys)),
    (Method::POST, "/v1/signer/keys/import", Needs(P::ManageKeys)),
    (
        Method::POST,
        "/v1/signer/keys/{id}/activate",
        Needs(P::ManageKeys),
    ),
    (Method::POST, "/v1/signer/keys/{id}/retire", Needs(P::ManageKeys)),
    (Method::POST, "/v1/signer/keys/{id}/revoke", Needs(P::ManageKeys)),
    (Method::POST, "/v1/signer/keys/{id}/stores", Needs(P::ManageKeys)),
    (
        Method::DELETE,
        "/v1/signer/keys/{id}/stores",
        Needs(P::ManageKeys),
    ),
    (Method::POST, "/v1/signer/keys/{id}/verify", Needs(P::ManageKeys)),
    (Method::GET, "/v1/signer/keys/{id}/validity", Needs(P::ReadKeys)),
    (
        Method::GET,
        "/v1/signer/keys/{id}/impact",
        Needs(P::ReadAttestations),
    ),
    (Method::GET, "/v1/signer/rotation-warnings", Needs(P::ReadKeys)),
    (Method::GET, "/v1/signer/config", Needs(P::ReadConfig)),
    (Method::GET, "/v1/signer/config/{key}", Needs(P::ReadConfig)),
    (Method::PUT, "/v1/signer/config/{key}", Needs(P::ManageConfig)),
    (Method::DELETE, "/v1/signer/config/{key}", Needs(P::ManageConfig)),
    (Method::POST, "/v1/reload", Needs(P::ManageConfig)),
    (Method::GET, "/v1/anchors", Needs(P::ReadAnchors)),
    (Method::POST, "/v1/anchors", Needs(P::ManageAnchors)),
    (Method::GET, "/v1/anchors/explain", Needs(P::ReadAnchors)),
    (Method::GET, "/v1/anchors/{id}", Needs(P::ReadAnchors)),
    (Method::PATCH, "/v1/anchors/{id}", Needs(P::ManageAnchors)),
    (Method::GET, "/v1/anchors/{id}/status", Needs(P::ReadAnchors)),
    (Method::POST, "/v1/anchors/{id}/keys", Needs(P::ManageAnchors)),
    (
        Method::POST,
        "/v1/anchors/{id}/keys/{keyid}/revoke",
        Needs(P::ManageAnchors),
    ),
    (Method::GET, "/v1/audit", Needs(P::ReadAudit)),
    (Method::GET, "/v1/crypto/providers", Needs(P::ReadStatus)),
    (Method::GET, "/v1/crypto/local-hsm/{name}", Needs(P::ReadStatus)),
    (
        Method::POST,
        "/v1/crypto/local-hsm/{name}/init",
        Needs(P::ManageKeys),
    ),
    (
        Method::POST,
        "/v1/crypto/local-hsm/{name}/recover",
        Needs(P::ManageKeys),
    ),
    (Method::GET, "/v1/crypto/hsm", Needs(P::ReadConfig)),
    (Method::GET, "/v1/crypto/hsm/slots", Needs(P::ReadConfig)),
    (Method::GET, "/v1/crypto/hsm/info", Needs(P::ReadConfig)),
    (Method::GET, "/v1/crypto/hsm/logs", Needs(P::ReadAudit)),
    (
        Method::POST,
        "/v1/crypto/hsm/examine/{what}",
        Needs(P::ReadConfig),
    ),
    (Method::POST, "/v1/crypto/hsm/reconnect", Needs(P::ManageKeys)),
    (Method::POST, "/v1/crypto/hsm/failover", Needs(P::ManageKeys)),
    (Method::POST, "/v1/crypto/hsm/auth/verify", Needs(P::ManageKeys)),
    (Method::POST, "/v1/crypto/hsm/auth/update", Needs(P::ManageKeys)),
    (Method::POST, "/v1/backups", Needs(P::TakeBackup)),
    (Method::GET, "/v1/attestations", Needs(P::ReadAttestations)),
    (Method::POST, "/v1/attestations", Needs(P::Attest)),
    (Method::POST, "/v1/attestations/import", Needs(P::Attest)),
    (Method::POST, "/v1/attestations/retry", Needs(P::Attest)),
    (Method::POST, "/v1/attestations/test-sign", Needs(P::Attest)),
    (Method::GET, "/v1/attestations/last", Needs(P::ReadAttestations)),
    (Method::GET, "/v1/attestations/{id}", Needs(P::ReadAttestations)),
    (
        Method::GET,
        "/v1/attestations/{id}/envelope",
        Needs(P::ReadAttestations),
    ),
    (
        Method::GET,
        "/v1/attestations/{id}/bundle",
        Needs(P::ReadAttestations),
    ),
    (
        Method::GET,
        "/v1/attestations/{id}/integrity",
        Needs(P::ReadAttestations),
    ),
    (Method::POST, "/v1/attestations/{id}/resign", Needs(P::Attest)),
    (
        Method::POST,
        "/v1/attestations/{id}/withdraw",
        Needs(P::ManageAttestations),
    ),
    (Method::POST, "/v1/verify/attestation", Needs(P::Verify)),
    (Method::POST, "/v1/verify/artifact", Needs(P::Verify)),
    (Method::POST, "/v1/verify/bundle", Needs(P::Verify)),
    (Method::POST, "/v1/verify/bundles", Needs(P::Verify)),
    (Method::POST, "/v1/verify/anchor", Needs(P::Verify)),
    (Method::POST, "/v1/verify/proof", Needs(P::Verify)),
    (Method::GET, "/v1/proofs", Needs(P::ReadAttestations)),
    (Method::POST, "/v1/proofs", Needs(P::Attest)),
    (Method::GET, "/v1/proofs/{address}", Needs(P::ReadAttestations)),
    (
        Method::GET,
        "/v1/proofs/{address}/bundle",
        Needs(P::ReadAttestations),
    ),
    (Method::POST, "/v1/trust/bundle", Needs(P::ExportTrust)),
    (Method::GET, "/v1/trust/root", Needs(P::ReadKeys)),
    (Method::GET, "/v1/doctor", Needs(P::ReadStatus)),
    (Method::GET, "/v1/replicas", Needs(P::ReadStatus)),
    (Method::GET, "/v1/status", Needs(P::ReadStatus)),
    (Method::GET, "/v1/logs", Needs(P::ReadAudit)),
    (Method::POST, "/v1/db/verify", Needs(P::ManageConfig)),
];

pub fn access(method: &Method, path: &str) -> Option<Access> {
    // HEAD is answered by the GET handler.
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    TABLE
        .iter()
        .find(|(m, p, _)| m == method && *p == path)
        .map(|(.., access)| *access)
}

/// Those that are declared for this path, for the header `Allow`.
fn methods(path: &str) -> String {
    let declared = TABLE.iter().filter(|(_, p, _)| *p == path);
    declared.map(|(m, ..)| m.as_str()).collect::<Vec<_>>().join(", ")
}

/// Why a request to the route of this path is refused.
pub enum Refusal {
    Method { allow: String },
    Access(Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Method { allow } => (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, allow)]).into_response(),
            Self::Access(error) => error.into_response(),
        }
    }
}

/// Whether the caller who was put into the request may ask this of this route.
pub fn authorize(request: &Request, path: &str) -> Result<(), Refusal> {
    match access(request.method(), path) {
        Some(Access::Public) => Ok(()),
        Some(Needs(permission)) => match request.extensions().get::<Caller>() {
            Some(caller) => caller.require(permission).map_err(Refusal::Access),
            None => Err(Refusal::Access(super::peer::unauthenticated())),
        },
        None => match methods(path) {
            allow if !allow.is_empty() => Err(Refusal::Method { allow }),
            _ => Err(Refusal::Access(Error::denied(
                "access.undeclared",
                "this route has no declared access; it is refused to everybody",
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_in_the_table_and_nothing_else_is() {
        let document = serde_json::to_value(super::super::openapi()).expect("the document is JSON");
        let mut routes = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for method in operations.as_object().expect("operations").keys() {
                routes.insert((method.to_uppercase(), path.clone()));
            }
        }
        let table: BTreeSet<_> = TABLE
            .iter()
            .map(|(m, p, _)| (m.to_string(), (*p).to_owned()))
            .collect();
        assert_eq!(table.len(), TABLE.len(), "a route is declared twice");
        assert_eq!(routes, table);
    }
}
