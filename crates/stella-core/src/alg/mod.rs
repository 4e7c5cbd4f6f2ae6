//! Signature algorithms: one file per algorithm, one table that lists them.
//!
//! To add one, write a file with an implementation of [`Scheme`] and add one
//! line to [`SCHEMES`]. Nothing else in the product names an algorithm in
//! order to verify with it.

mod ecdsa_p256;
mod ed25519;
mod gost2012_256;
pub mod gost3410;
mod ml_dsa_65;
mod public_key;
pub mod sm2_p256;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier};

use crate::digest::Hashed;

pub use public_key::{KeyError, PublicKey, Seen};

/// Every algorithm of this build, in the order in which messages list them.
static SCHEMES: &[&dyn Scheme] = &[
    &ed25519::Ed25519,
    &ecdsa_p256::EcdsaP256,
    &ml_dsa_65::MlDsa65,
    &gost2012_256::Gost2012,
    &sm2_p256::Sm2P256,
];

/// What an algorithm is: its names, its key encoding and its verification.
///
/// Implementations are stateless; every method may be called from any thread.
pub trait Scheme: Sync {
    /// The long name, as it stands in configuration, key history and traces.
    fn id(&self) -> &'static str;

    /// Other names that people type; compared without regard to case.
    fn short_names(&self) -> &'static [&'static str];

    /// The document that defines exactly what is signed and how.
    fn standard(&self) -> &'static str;

    /// The library that computes it.
    fn provider(&self) -> &'static str;

    /// Whether nobody independent has examined the implementation. It is said
    /// wherever a key of it is made or shown.
    fn unaudited(&self) -> bool {
        false
    }

    /// The name of Sigstore's `PublicKeyDetails`, where Sigstore has one.
    fn key_details(&self) -> Option<&'static str>;

    fn oid(&self) -> ObjectIdentifier;

    /// Whether the identifier names a key of this scheme, well formed or not:
    /// several schemes share the OID `id-ecPublicKey` and differ in the curve.
    fn claims(&self, identifier: &AlgorithmIdentifierRef<'_>) -> bool {
        identifier.oid == self.oid()
    }

    /// Whether a key with these parameters can be used, for schemes that know
    /// more of them than they take. `identifier` is one that the scheme claims.
    fn check_parameters(&self, _identifier: &AlgorithmIdentifierRef<'_>) -> Result<(), KeyRefusal> {
        Ok(())
    }

    /// Takes a public key apart, or refuses it. Its parameters were checked.
    ///
    /// The answer is the key in the form that [`Scheme::verifier`] and
    /// [`Scheme::spki_der`] read. It must be the only one for that key.
    fn accept_key(&self, parts: &SpkiParts<'_>) -> Result<Vec<u8>, KeyRefusal>;

    /// The one DER `SubjectPublicKeyInfo` of a key, from its raw form. It need
    /// not check the key: whatever it writes goes through `accept_key`.
    fn spki_der(&self, raw: &[u8]) -> der::Result<Vec<u8>>;

    /// Other encodings of the same key that are in use: each is read, as the
    /// same key, and none is ever written.
    fn other_spki_der(&self, _raw: &[u8]) -> der::Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Makes a key that `accept_key` returned ready to verify with. `None`
    /// for any other.
    fn verifier(&self, raw: &[u8]) -> Option<Box<dyn Verify>>;
}

/// A key whose preparation, the same for each signature, is done.
pub trait Verify: Send + Sync {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature>;

    /// The same, for schemes that begin with the SHA-256 of the message.
    fn verify_hashed(&self, message: &Hashed, signature: &[u8]) -> Result<(), BadSignature> {
        self.verify(message.bytes(), signature)
    }
}

impl Verify for ParsedPublicKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}

/// A key of an algorithm that AWS-LC verifies.
fn aws_lc_verifier(algorithm: &'static dyn VerificationAlgorithm, raw: &[u8]) -> Option<Box<dyn Verify>> {
    let parsed = UnparsedPublicKey::new(algorithm, raw).parse().ok()?;
    Some(Box::new(parsed))
}

/// A `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) taken apart.
pub struct SpkiParts<'a> {
    pub identifier: AlgorithmIdentifierRef<'a>,
    /// The content of the BIT STRING, which has no unused bits.
    pub key: &'a [u8],
}

/// Why a scheme does not take a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRefusal {
    Malformed(&'static str),
    /// Of this scheme, with parameters that it does not take.
    Unsupported(String),
    /// Well formed, and yet anyone could sign for it.
    Weak(&'static str),
}

/// The signature does not verify; why is not for an attacker to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify with this key")]
pub struct BadSignature;

/// An algorithm of this build. Comparable and hashable by its long name.
#[derive(Clone, Copy)]
pub struct Algorithm(&'static dyn Scheme);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not a signature algorithm of this build, which has {}",
    known()
)]
pub struct UnknownAlgorithm {
    text: String,
}

impl Algorithm {
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        SCHEMES.iter().map(|scheme| Self(*scheme))
    }

    pub fn id(self) -> &'static str {
        self.0.id()
    }

    pub fn scheme(self) -> &'static dyn Scheme {
        self.0
    }

    /// The algorithm that an `AlgorithmIdentifier` names, in a public key or
    /// in PKCS#8.
    pub fn of_identifier(identifier: &AlgorithmIdentifierRef<'_>) -> Option<Self> {
        Self::all().find(|algorithm| algorithm.0.claims(identifier))
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(s: &str) -> Result<Self, UnknownAlgorithm> {
        Self::all()
            .find(|a| {
                a.id().eq_ignore_ascii_case(s)
                    || a.0.short_names().iter().any(|name| name.eq_ignore_ascii_case(s))
            })
            .ok_or_else(|| UnknownAlgorithm {
                text: s.chars().take(64).collect(),
            })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Algorithm {}

impl Hash for Algorithm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl PartialOrd for Algorithm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Algorithm {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id().cmp(other.id())
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `AlgorithmIdentifier` without parameters, then the raw key: the form of
/// RFC 8410 section 4 and RFC 9881 section 4.
fn spki_without_parameters(oid: ObjectIdentifier, raw: &[u8]) -> der::Result<Vec<u8>> {
    use der::Encode;
    spki::SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid,
            parameters: None,
        },
        subject_public_key: der::asn1::BitStringRef::from_bytes(raw)?,
    }
    .to_der()
}

fn known() -> String {
    let names: Vec<String> = Algorithm::all()
        .map(|a| match a.0.short_names() {
            [short, ..] if !short.eq_ignore_ascii_case(a.id()) => format!("{} ({short})", a.id()),
            _ => a.id().to_owned(),
        })
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_leads_to_its_algorithm_and_to_no_other() {
        let mut seen = BTreeSet::new();
        for algorithm in Algorithm::all() {
            let names: BTreeSet<String> = std::iter::once(&algorithm.id())
                .chain(algorithm.scheme().short_names())
                .map(|name| name.to_ascii_lowercase())
                .collect();
            for name in names {
                assert_eq!(name.parse(), Ok(algorithm));
                assert_eq!(name.to_ascii_uppercase().parse(), Ok(algorithm));
                assert!(seen.insert(name.clone()), "{name} names two algorithms");
            }
        }
    }

    #[test]
    fn names_of_the_documentation_are_known() {
        for (name, id) in [
            ("SHA256-ED25519", "SHA256-ED25519"),
            ("ed25519", "SHA256-ED25519"),
            ("ecdsa-p256", "SHA256-ECDSA-P256"),
            ("P256", "SHA256-ECDSA-P256"),
            ("ml-dsa-65", "ML-DSA-65"),
            ("gost2012-256", "GOST-R-34.10-2012"),
            ("sm2", "SM2-P256"),
        ] {
            assert_eq!(name.parse::<Algorithm>().map(Algorithm::id), Ok(id));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "rsa-2048".parse::<Algorithm>().expect_err("unknown").to_string();
        assert_eq!(
            error,
            "\"rsa-2048\" is not a signature algorithm of this build, which has \
             SHA256-ED25519 (ed25519), SHA256-ECDSA-P256 (ecdsa-p256), ML-DSA-65, \
             GOST-R-34.10-2012 (gost2012-256), SM2-P256 (sm2)"
        );
    }

    #[test]
    fn travels_as_its_long_name() {
        for algorithm in Algorithm::all() {
            let text = serde_json::to_string(&algorithm).expect("json");
            assert_eq!(text, format!("\"{}\"", algorithm.id()));
            assert_eq!(
                serde_json::from_str::<Algorithm>(&text).expect("algorithm"),
                algorithm
            );
        }
    }
}
