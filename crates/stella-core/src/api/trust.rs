//! `/v1/trust/...`: what verifiers take with them.

use super::wire;

wire! {
    pub struct ExportTrust {
        /// How long the bundle is good for; the instance's default when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_in_seconds: Option<u64>,
    }

    pub struct ExportedTrust {
        pub instance: String,
        /// Grows with every bundle, and never comes twice: the number of the
        /// event that recorded the export.
        pub number: u64,
        pub issued_at: String,
        pub expires_at: String,
        /// The feed keys that signed it.
        pub signed_by: Vec<String>,
        /// The bundle, as JSON text.
        pub document: String,
    }

    pub struct TrustRootDocument {
        pub instance: String,
        /// A later root has a higher one.
        pub number: u64,
        /// The keys it names as signers of trust bundles.
        pub feed_keys: Vec<String>,
        /// SHA-256 of the document, to compare over another channel.
        pub sha256: String,
        /// The root, as JSON text.
        pub document: String,
    }
}
