//! The offline trust bundle: what an instance trusts, signed by its feed key
//! for verifiers that cannot ask it, and the root document that names that
//! key. See docs/design/offline-trust.md.
//!
//! Nothing is trusted before a pinned [`TrustRoot`] says so: the signature is
//! checked before the payload is read, and what was read is a whole, valid
//! trust state or an error.

mod document;
mod offline;
mod payload;
mod root;
mod seen;

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use crate::digest::Sha256;
use crate::dsse::EnvelopeLimits;
use crate::evidence::Authority;
use crate::id::KeyId;
use crate::json::JsonLimits;
use crate::time::Timestamp;
use crate::trust::{KeyType, TrustState};
use crate::verify::document::DocumentLimits;
use crate::verify::{Code, VerifyPolicy};

pub use document::FeedKey;
pub use offline::{Offline, refusal};
pub use root::{RootContent, TrustRoot};
pub use seen::{Seen, SeenError};

/// What a feed key signs as a trust bundle, and as nothing else.
pub const BUNDLE_PAYLOAD_TYPE: &str = "application/vnd.stella.trust-bundle+json";
/// What a root key signs as a trust root, and as nothing else.
pub const ROOT_PAYLOAD_TYPE: &str = "application/vnd.stella.trust-root+json";

/// Bounds of a trust bundle and of a root. An offline verifier reads no
/// configuration, so they are the same for everybody; the exporter keeps to
/// them too.
pub const LIMITS: EnvelopeLimits = EnvelopeLimits {
    json: JsonLimits {
        max_bytes: 64 * 1024 * 1024,
        max_depth: 16,
    },
    max_signatures: MAX_FEED_KEYS,
};

/// Keys that one root may name, and signatures over one document.
pub const MAX_FEED_KEYS: usize = 16;

/// Names an event log, for ever: the id of its first event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub Uuid);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash chain over events and ledger as it stood when the bundle was
/// made: whoever notes it can tell later whether the log was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// The last event it covers.
    pub events: u64,
    /// The last ledger entry it covers.
    pub entries: u64,
    pub hash: Sha256,
}

/// What an instance trusts at one event of its log.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    pub instance: InstanceId,
    /// The number of the event that recorded the export: it grows with every
    /// bundle and never comes twice.
    pub number: u64,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub log: LogHead,
    pub trust: TrustState,
    pub authorities: BTreeMap<String, Authority>,
    pub policy: VerifyPolicy,
    pub limits: DocumentLimits,
}

/// A bundle under whose signature stands a pinned root.
#[derive(Debug, Clone)]
pub struct SignedBundle {
    pub bundle: TrustBundle,
    /// The keys of the root that signed it; never empty.
    pub signed_by: Vec<KeyId>,
    /// Of the payload: two bundles of one number are one bundle.
    pub digest: Sha256,
}

/// Why a trust bundle or a root is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: Code,
    pub message: String,
}

impl Refused {
    fn new(code: Code, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

impl TrustBundle {
    /// What is signed: RFC 8785 JSON, to be put under [`BUNDLE_PAYLOAD_TYPE`].
    pub fn to_payload(&self) -> Result<Vec<u8>, Refused> {
        self.to_payload_within(LIMITS.json.max_bytes)
    }

    /// For verifiers that read so many bytes, envelope included.
    pub fn to_payload_within(&self, max_bytes: usize) -> Result<Vec<u8>, Refused> {
        payload::write(self, max_bytes)
    }

    /// The content of a bundle whoever signed it, to be shown and not used.
    pub fn read_unchecked(bytes: &[u8]) -> Result<Self, Refused> {
        let envelope = document::open(bytes, BUNDLE_PAYLOAD_TYPE, Code::TrustInvalid)?;
        payload::read(&envelope.payload)
    }
}

impl SignedBundle {
    pub fn open(bytes: &[u8], root: &TrustRoot) -> Result<Self, Refused> {
        let envelope = document::open(bytes, BUNDLE_PAYLOAD_TYPE, Code::TrustInvalid)?;
        let signed_by = document::signers(&envelope, root.feed_keys());
        if signed_by.is_empty() {
            let named: Vec<&str> = root.feed_keys().iter().map(|k| k.id.as_str()).collect();
            let message = format!(
                "the trust bundle is signed by no feed key of root {}: {}",
                root.number(),
                named.join(", ")
            );
            return Err(Refused::new(Code::TrustUntrusted, message));
        }
        let bundle = payload::read(&envelope.payload)?;
        if bundle.instance != root.instance() {
            let message = format!(
                "the trust bundle is of instance {}, the trust root of {}",
                bundle.instance,
                root.instance()
            );
            return Err(Refused::new(Code::TrustOtherInstance, message));
        }
        for key in root.feed_keys().iter().filter(|k| signed_by.contains(&k.id)) {
            let known = bundle.trust.key_of_material(&key.public_key.fingerprint());
            if let Some(other) = known.filter(|k| k.key_type != KeyType::Feed) {
                let message = format!("it is signed by {}, which is a {} key", other.id, other.key_type);
                return Err(Refused::new(Code::TrustUntrusted, message));
            }
        }
        Ok(Self {
            bundle,
            signed_by,
            digest: Sha256::of(&envelope.payload),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_called_by_its_number() {
        let id = InstanceId(Uuid::from_u128(0xabc));
        let text = "00000000-0000-0000-0000-000000000abc";
        assert_eq!(format!("{id}|{id:?}|{id:>38}"), format!("{text}|{text}|  {text}"));
    }
}
