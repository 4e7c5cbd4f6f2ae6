//! Wire types shared by server and client. Types only: what a field means is
//! said here, what happens is decided elsewhere.
//!
//! JSON in camelCase; `keyId` is written, `keyid` is read as well. A request
//! has no unknown fields: a demand that is misspelt must not be passed over.
//! An answer may have, from a newer server.

pub mod anchors;
pub mod attestations;
pub mod audit;
pub mod backup;
pub mod crypto;
pub mod doctor;
pub mod hsm;
pub mod keys;
pub mod local_hsm;
pub mod problem;
pub mod proofs;
pub mod replicas;
pub mod status;
pub mod tokens;
pub mod trust;
pub mod verify;

/// Derives what every wire type has, with OpenAPI schemas where the server
/// asks for them.
macro_rules! wire {
    ($($(#[$meta:meta])* pub $kind:tt $name:ident $body:tt)+) => {$(
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub $kind $name $body
    )+};
}
pub(crate) use wire;
