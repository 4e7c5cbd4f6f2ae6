//! A private key at rest: PKCS#8 under AES-256-GCM-SIV (RFC 8452).
//!
//! The key's id, its algorithm and the version of the format are
//! authenticated with it, so that a blob moved to another key's row does not
//! open there.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use stella_core::alg::Algorithm;
use stella_core::digest::Sha256;
use stella_core::id::KeyId;
use zeroize::Zeroizing;

use super::{SealingKey, SoftwareKey, scheme};
use crate::entropy::{Entropy, EntropyError};

const VERSION: u32 = 1;
const NONCE_LEN: usize = 12;

/// Seals and opens under one sealing key. Shared freely between threads.
pub struct Sealer {
    key: LessSafeKey,
    id: String,
}

/// A sealed private key, for whoever keeps it: no secret without the sealing
/// key. JSON, versioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedKey {
    version: u32,
    key_id: KeyId,
    algorithm: Algorithm,
    /// Names the sealing key, so that the wrong one is told from damage.
    sealed_by: String,
    nonce: Base64Bytes,
    ciphertext: Base64Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("sealing the private key failed")]
    Internal,
}

impl SealError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Entropy(_) => "key-store.unavailable",
            Self::Internal => "key-store.internal",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the sealed key is damaged: {0}")]
    Corrupt(String),
    #[error("the sealed key has format version {0}, this build reads version {VERSION}")]
    UnsupportedVersion(u64),
    #[error(
        "the sealed key belongs to \"{sealed_for}\" ({sealed_algorithm}), not to \"{asked}\" ({asked_algorithm})"
    )]
    SealedForAnother {
        sealed_for: KeyId,
        sealed_algorithm: Algorithm,
        asked: KeyId,
        asked_algorithm: Algorithm,
    },
    #[error("the key was sealed with sealing key {sealed_by}, this is sealing key {ours}")]
    WrongSealingKey { sealed_by: String, ours: String },
}

impl OpenError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt(_) => "key-store.corrupt",
            Self::UnsupportedVersion(_) => "key-store.unsupported-version",
            Self::SealedForAnother { .. } => "key-store.sealed-for-another",
            Self::WrongSealingKey { .. } => "key-store.wrong-sealing-key",
        }
    }
}

impl Sealer {
    pub fn new(key: &SealingKey) -> Result<Self, SealError> {
        let unbound = UnboundKey::new(&AES_256_GCM_SIV, key.as_bytes()).map_err(|_| SealError::Internal)?;
        Ok(Self {
            key: LessSafeKey::new(unbound),
            id: key.id(),
        })
    }

    /// Names the sealing key without telling anything of use about it.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Bytes under a sealing key, with the nonce that they need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealedBytes {
    nonce: Base64Bytes,
    ciphertext: Base64Bytes,
}

impl Sealer {
    pub(crate) fn seal(
        &self,
        plain: &[u8],
        associated_data: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<SealedBytes, SealError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce)?;
        // Reserved in full: a vector that grew would leave plain text behind.
        let capacity = plain.len() + AES_256_GCM_SIV.tag_len();
        let mut in_out = Zeroizing::new(Vec::with_capacity(capacity));
        in_out.extend_from_slice(plain);
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated_data),
                &mut *in_out,
            )
            .map_err(|_| SealError::Internal)?;
        Ok(SealedBytes {
            nonce: Base64Bytes(nonce.to_vec()),
            ciphertext: Base64Bytes(std::mem::take(&mut *in_out)),
        })
    }

    pub(crate) fn open(
        &self,
        sealed: &SealedBytes,
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let corrupt = |why: &str| OpenError::Corrupt(why.to_owned());
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce.0)
            .map_err(|_| corrupt("its nonce has not 12 bytes"))?;
        let mut in_out = Zeroizing::new(sealed.ciphertext.0.clone());
        let len = self
            .key
            .open_in_place(nonce, Aad::from(associated_data), in_out.as_mut_slice())
            .map_err(|_| corrupt("it does not decrypt, a part of it was changed"))?
            .len();
        in_out.truncate(len);
        Ok(in_out)
    }
}

impl SealedKey {
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn sealed_by(&self) -> &str {
        &self.sealed_by
    }

    /// The digest of the sealed bytes: says whether two blobs are one.
    pub fn digest(&self) -> Sha256 {
        Sha256::of_parts(&[&self.nonce.0, &self.ciphertext.0])
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, SealError> {
        serde_json::to_vec(self).map_err(|_| SealError::Internal)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let corrupt = |e: serde_json::Error| OpenError::Corrupt(e.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(corrupt)?;
        if version != u64::from(VERSION) {
            return Err(OpenError::UnsupportedVersion(version));
        }
        serde_json::from_slice(bytes).map_err(corrupt)
    }
}

impl SoftwareKey {
    /// Seals the private key for this id.
    pub fn seal(
        &self,
        sealer: &Sealer,
        key_id: &KeyId,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedKey, SealError> {
        let algorithm = self.algorithm();
        let SealedBytes { nonce, ciphertext } =
            sealer.seal(&self.pkcs8, &associated_data(key_id, algorithm), entropy)?;
        Ok(SealedKey {
            version: VERSION,
            key_id: key_id.clone(),
            algorithm,
            sealed_by: sealer.id.clone(),
            nonce,
            ciphertext,
        })
    }

    /// Opens a blob that must have been sealed for exactly this id and
    /// algorithm.
    pub fn open(
        sealed: &SealedKey,
        sealer: &Sealer,
        key_id: &KeyId,
        algorithm: Algorithm,
    ) -> Result<Self, OpenError> {
        if sealed.key_id != *key_id || sealed.algorithm != algorithm {
            return Err(OpenError::SealedForAnother {
                sealed_for: sealed.key_id.clone(),
                sealed_algorithm: sealed.algorithm,
                asked: key_id.clone(),
                asked_algorithm: algorithm,
            });
        }
        if sealed.sealed_by != sealer.id {
            return Err(OpenError::WrongSealingKey {
                sealed_by: sealed.sealed_by.chars().take(64).collect(),
                ours: sealer.id.clone(),
            });
        }
        let bytes = SealedBytes {
            nonce: sealed.nonce.clone(),
            ciphertext: sealed.ciphertext.clone(),
        };
        let pkcs8 = sealer.open(&bytes, &associated_data(key_id, algorithm))?;
        scheme::of(algorithm)
            .and_then(|scheme| Self::from_pkcs8(algorithm, scheme, pkcs8))
            .ok_or_else(|| OpenError::Corrupt("it does not hold a private key of this algorithm".to_owned()))
    }
}

/// Neither an id nor an algorithm contains a zero byte, so no two pairs have
/// the same bytes.
fn associated_data(key_id: &KeyId, algorithm: Algorithm) -> Vec<u8> {
    format!("stella sealed key\0{VERSION}\0{key_id}\0{algorithm}").into_bytes()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Base64Bytes(Vec<u8>);

impl Serialize for Base64Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        BASE64
            .decode(String::deserialize(d)?)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::{Sign, sign_verified};

    #[test]
    fn a_sealed_key_opens_again_and_signs() {
        for algorithm in Algorithm::all() {
            let (key, sealed) = sealed(algorithm);
            let stored = SealedKey::from_bytes(&sealed.to_bytes().expect("bytes")).expect("stored");
            assert_eq!(stored, sealed);
            let opened = open(&stored, &sealer(1), "key-1", algorithm).expect("opened");
            assert_eq!(opened.public_key(), key.public_key());
            assert!(sign_verified(&opened, b"message").is_ok());
        }
    }

    #[test]
    fn the_blob_holds_nothing_of_the_private_key() {
        for algorithm in Algorithm::all() {
            let (key, sealed) = sealed(algorithm);
            let secret = &key.pkcs8[key.pkcs8.len() - 16..];
            assert!(!sealed.ciphertext.0.windows(16).any(|window| window == secret));
            let (_, again) = self::sealed(algorithm);
            assert_ne!(sealed.nonce, again.nonce, "a nonce of its own");
        }
    }

    #[test]
    fn a_blob_at_another_keys_place_does_not_open() {
        let (_, sealed) = sealed(ed25519());
        let error = open(&sealed, &sealer(1), "key-2", ed25519()).expect_err("another id");
        assert_eq!(error.code(), "key-store.sealed-for-another");
        let p256 = "p256".parse().expect("algorithm");
        let error = open(&sealed, &sealer(1), "key-1", p256).expect_err("another algorithm");
        assert_eq!(error.code(), "key-store.sealed-for-another");

        // And when the label was changed along with it.
        let relabelled = SealedKey {
            key_id: id("key-2"),
            ..sealed
        };
        let error = open(&relabelled, &sealer(1), "key-2", ed25519()).expect_err("relabelled");
        assert_eq!(error.code(), "key-store.corrupt");
    }

    #[test]
    fn the_wrong_sealing_key_is_told_from_damage() {
        let (_, sealed) = sealed(ed25519());
        let error = open(&sealed, &sealer(2), "key-1", ed25519()).expect_err("wrong key");
        assert_eq!(error.code(), "key-store.wrong-sealing-key");
        assert_ne!(sealer(1).id(), sealer(2).id());
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let (_, sealed) = sealed(ed25519());
        for i in 0..sealed.ciphertext.0.len() * 8 {
            let mut flipped = sealed.clone();
            flipped.ciphertext.0[i / 8] ^= 1 << (i % 8);
            let error = open(&flipped, &sealer(1), "key-1", ed25519()).expect_err("flipped");
            assert_eq!(error.code(), "key-store.corrupt", "bit {i}");
        }
        let mut flipped = sealed;
        flipped.nonce.0[0] ^= 1;
        let error = open(&flipped, &sealer(1), "key-1", ed25519()).expect_err("nonce");
        assert_eq!(error.code(), "key-store.corrupt");
    }

    #[test]
    fn any_truncation_is_damage() {
        let (_, sealed) = sealed(ed25519());
        let bytes = sealed.to_bytes().expect("bytes");
        for len in 0..bytes.len() {
            let error = SealedKey::from_bytes(&bytes[..len]).expect_err("truncated");
            assert_eq!(error.code(), "key-store.corrupt", "{len} bytes");
        }
        for len in 0..sealed.ciphertext.0.len() {
            let mut short = sealed.clone();
            short.ciphertext.0.truncate(len);
            let error = open(&short, &sealer(1), "key-1", ed25519()).expect_err("short");
            assert_eq!(error.code(), "key-store.corrupt", "{len} bytes");
        }
        let mut short = sealed;
        short.nonce.0.truncate(11);
        let error = open(&short, &sealer(1), "key-1", ed25519()).expect_err("nonce");
        assert_eq!(error.code(), "key-store.corrupt");
    }

    #[test]
    fn a_format_of_the_future_is_not_called_damage() {
        let (_, sealed) = sealed(ed25519());
        let text = String::from_utf8(sealed.to_bytes().expect("bytes")).expect("text");
        let newer = text.replace("\"version\":1", "\"version\":2");
        let error = SealedKey::from_bytes(newer.as_bytes()).expect_err("newer");
        assert_eq!(error, OpenError::UnsupportedVersion(2));
    }

    fn ed25519() -> Algorithm {
        "ed25519".parse().expect("algorithm")
    }

    fn id(text: &str) -> KeyId {
        text.parse().expect("key id")
    }

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&SealingKey::from_bytes([byte; 32])).expect("sealer")
    }

    fn sealed(algorithm: Algorithm) -> (SoftwareKey, SealedKey) {
        let key = SoftwareKey::generate(algorithm, &mut SystemEntropy).expect("key");
        let sealed = key
            .seal(&sealer(1), &id("key-1"), &mut SystemEntropy)
            .expect("sealed");
        (key, sealed)
    }

    fn open(
        sealed: &SealedKey,
        sealer: &Sealer,
        key_id: &str,
        algorithm: Algorithm,
    ) -> Result<SoftwareKey, OpenError> {
        SoftwareKey::open(sealed, sealer, &id(key_id), algorithm)
    }
}
