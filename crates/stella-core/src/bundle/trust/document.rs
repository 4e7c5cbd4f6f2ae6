//! What roots and bundles have in common: a DSSE envelope of one payload
//! type, signed by keys that are known beforehand.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{LIMITS, MAX_FEED_KEYS, Refused};
use crate::alg::PublicKey;
use crate::dsse::Envelope;
use crate::id::KeyId;
use crate::trust::KeyType;
use crate::verify::Code;

/// A key as a root names it. Its type is written down, and only one is read,
/// so that no key of another purpose can stand here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedKey {
    pub id: KeyId,
    pub public_key: PublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FeedKeyWire {
    key_id: KeyId,
    key_type: KeyType,
    public_key: PublicKey,
}

impl From<&FeedKey> for FeedKeyWire {
    fn from(key: &FeedKey) -> Self {
        Self {
            key_id: key.id.clone(),
            key_type: KeyType::Feed,
            public_key: key.public_key.clone(),
        }
    }
}

/// A number that every reader of JSON reads as the same (RFC 8785 section
/// 3.2.2.3).
pub(super) fn number<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let n = u64::deserialize(d)?;
    if n > MAX_NUMBER {
        return Err(D::Error::custom(format!("the number {n} is past {MAX_NUMBER}")));
    }
    Ok(n)
}

const MAX_NUMBER: u64 = 1 << 53;

/// At least one, no more than the bound, none twice, all of type `feed`.
pub(super) fn feed_keys(wire: Vec<FeedKeyWire>) -> Result<Vec<FeedKey>, String> {
    if wire.is_empty() || wire.len() > MAX_FEED_KEYS {
        return Err(format!("{} keys, 1 to {MAX_FEED_KEYS} allowed", wire.len()));
    }
    let mut keys: Vec<FeedKey> = Vec::with_capacity(wire.len());
    for key in wire {
        if key.key_type != KeyType::Feed {
            return Err(format!(
                "{} is a {} key, not a feed key",
                key.key_id, key.key_type
            ));
        }
        let twice = keys
            .iter()
            .any(|k| k.id == key.key_id || k.public_key == key.public_key);
        if twice {
            return Err(format!("the key {}, or its material, is there twice", key.key_id));
        }
        keys.push(FeedKey {
            id: key.key_id,
            public_key: key.public_key,
        });
    }
    Ok(keys)
}

pub(super) fn open(bytes: &[u8], payload_type: &str, refusal: Code) -> Result<Envelope, Refused> {
    let envelope =
        Envelope::parse(bytes, &LIMITS).map_err(|e| Refused::new(refusal, format!("{e} ({})", e.code())))?;
    if envelope.payload_type != payload_type {
        let shown: String = envelope.payload_type.chars().take(100).collect();
        let message = format!("its payload type is {shown:?}, not {payload_type}");
        return Err(Refused::new(refusal, message));
    }
    Ok(envelope)
}

/// The keys whose signatures are on the envelope, each once. A signature
/// counts only under the id of the key that made it: here, unlike for
/// statements, whoever signs knows the names that are pinned.
pub(super) fn signers(envelope: &Envelope, keys: &[FeedKey]) -> Vec<KeyId> {
    let pae = envelope.pae();
    keys.iter()
        .filter(|key| {
            envelope
                .signatures
                .iter()
                .filter(|s| s.keyid.as_deref() == Some(key.id.as_str()))
                .any(|s| key.public_key.verify(&pae, &s.sig).is_ok())
        })
        .map(|key| key.id.clone())
        .collect()
}
