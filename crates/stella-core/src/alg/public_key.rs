//! Public keys. A [`PublicKey`] exists only for a key that this build can
//! verify with and that nobody but its holder can sign for.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use der::{Decode, pem};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spki::SubjectPublicKeyInfoRef;

use super::{Algorithm, BadSignature, KeyRefusal, SpkiParts, Verify, known};
use crate::digest::{Hashed, Sha256};

/// A public key, identified by its one canonical DER `SubjectPublicKeyInfo`.
///
/// Serialised as base64 of those bytes, which is the form of
/// `key_history.public_key`.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    fingerprint: Sha256,
    spki: Arc<[u8]>,
    raw: Arc<[u8]>,
    /// Made at the first signature, and shared by every clone.
    verifier: Arc<OnceLock<Option<Box<dyn Verify>>>>,
}

/// A signature that was seen to verify, over what and by which key. Only
/// [`PublicKey::see`] makes one, so who is given it need not look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    key: Sha256,
    message: Sha256,
    signature: Vec<u8>,
}

impl Seen {
    /// The fingerprint of the key.
    pub fn key(&self) -> Sha256 {
        self.key
    }

    /// The digest of what was signed.
    pub fn message(&self) -> Sha256 {
        self.message
    }

    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key of {0} cannot be used: this build has {known}", known = known())]
    UnsupportedAlgorithm(String),
    #[error("not a public key: {0}")]
    Malformed(Cow<'static, str>),
    #[error("weak key refused: {0}")]
    Weak(&'static str),
}

impl KeyError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedAlgorithm(_) => "key.unsupported-algorithm",
            Self::Malformed(_) => "key.malformed",
            Self::Weak(_) => "key.weak",
        }
    }
}

impl PublicKey {
    /// Reads DER that is canonical and complete: the bytes given are the
    /// bytes of [`PublicKey::spki_der`], or one of the few others that peers
    /// write for the same key, which is then the same key here.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|e| KeyError::Malformed(format!("no DER SubjectPublicKeyInfo ({e})").into()))?;
        let algorithm = Algorithm::of_identifier(&info.algorithm)
            .ok_or_else(|| KeyError::UnsupportedAlgorithm(describe(&info.algorithm)))?;
        let key = info
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Malformed("its BIT STRING has unused bits".into()))?;
        let scheme = algorithm.scheme();
        scheme.check_parameters(&info.algorithm)?;
        let raw = scheme.accept_key(&SpkiParts {
            identifier: info.algorithm,
            key,
        })?;
        let canonical = scheme.spki_der(&raw).map_err(|e| malformed_der(&e))?;
        let others = || scheme.other_spki_der(&raw).map_err(|e| malformed_der(&e));
        if canonical != der && !others()?.iter().any(|other| other == der) {
            return Err(KeyError::Malformed(
                "its DER is not the canonical form of this key".into(),
            ));
        }
        Ok(Self {
            algorithm,
            fingerprint: Sha256::of(&canonical),
            spki: canonical.into(),
            raw: raw.into(),
            verifier: Arc::default(),
        })
    }

    /// From the key alone, as tokens give it: 32 bytes for Ed25519, an
    /// uncompressed point for P-256 and SM2, both coordinates little-endian for GOST, 1952
    /// bytes for ML-DSA-65.
    pub fn from_raw(algorithm: Algorithm, raw: &[u8]) -> Result<Self, KeyError> {
        let der = algorithm.scheme().spki_der(raw).map_err(|e| malformed_der(&e))?;
        Self::from_spki_der(&der)
    }

    /// Exactly one `PUBLIC KEY` block (RFC 7468 section 13); anything else is
    /// refused by the name of what it is.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        expect_one_public_key(text)?;
        let (_, der) = pem::decode_vec(text.trim().as_bytes())
            .map_err(|e| KeyError::Malformed(format!("unreadable PEM ({e})").into()))?;
        Self::from_spki_der(&der)
    }

    /// PEM or DER, told apart by the first bytes.
    pub fn from_any(bytes: &[u8]) -> Result<Self, KeyError> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(BEGIN) => Self::from_pem(text),
            _ => Self::from_spki_der(bytes),
        }
    }

    /// Base64 (RFC 4648 section 4, with padding) of the DER.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let der = BASE64
            .decode(text.trim())
            .map_err(|e| KeyError::Malformed(format!("unreadable base64 ({e})").into()))?;
        Self::from_spki_der(&der)
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    pub fn spki_base64(&self) -> String {
        BASE64.encode(&self.spki)
    }

    /// The key without its `SubjectPublicKeyInfo`.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub fn to_pem(&self) -> String {
        let mut out = String::from("-----BEGIN PUBLIC KEY-----\n");
        // RFC 7468 section 2: lines of 64 characters.
        for (i, c) in self.spki_base64().chars().enumerate() {
            if i > 0 && i % 64 == 0 {
                out.push('\n');
            }
            out.push(c);
        }
        out.push_str("\n-----END PUBLIC KEY-----\n");
        out
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> Sha256 {
        self.fingerprint
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.ready()?.verify(message, signature)
    }

    /// The same answer, without a second pass over a message that some
    /// algorithms begin to read by its digest.
    pub fn verify_hashed(&self, message: &Hashed, signature: &[u8]) -> Result<(), BadSignature> {
        self.ready()?.verify_hashed(message, signature)
    }

    fn ready(&self) -> Result<&dyn Verify, BadSignature> {
        let ready = || self.algorithm.scheme().verifier(&self.raw);
        self.verifier.get_or_init(ready).as_deref().ok_or(BadSignature)
    }

    /// As [`verify`](Self::verify), for who passes on that it did.
    pub fn see(&self, message: &[u8], signature: Vec<u8>) -> Result<Seen, BadSignature> {
        self.verify(message, &signature)?;
        Ok(Seen {
            key: self.fingerprint(),
            message: Sha256::of(message),
            signature,
        })
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spki.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} sha256:{})", self.algorithm, self.fingerprint())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.spki_base64())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_base64(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

impl From<KeyRefusal> for KeyError {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::Malformed(why) => Self::Malformed(why.into()),
            KeyRefusal::Unsupported(what) => Self::UnsupportedAlgorithm(what),
            KeyRefusal::Weak(why) => Self::Weak(why),
        }
    }
}

const BEGIN: &str = "-----BEGIN ";

fn expect_one_public_key(text: &str) -> Result<(), KeyError> {
    let labels: Vec<&str> = text
        .split(BEGIN)
        .skip(1)
        .map(|rest| rest.split("-----").next().unwrap_or_default())
        .collect();
    let refuse = |why: &'static str| Err(KeyError::Malformed(why.into()));
    // A private key is named first: whoever pasted one must hear it.
    if labels.iter().any(|label| label.ends_with("PRIVATE KEY")) {
        return refuse(
            "this is a PRIVATE KEY, keep it secret and give its public half: \
             openssl pkey -in FILE -pubout",
        );
    }
    match labels[..] {
        ["PUBLIC KEY"] => Ok(()),
        [] => refuse("there is no PEM block in it"),
        ["CERTIFICATE"] => refuse(
            "this is a CERTIFICATE, give the public key in it: \
             openssl x509 -in FILE -noout -pubkey",
        ),
        [label] => Err(KeyError::Malformed(
            format!("this is a PEM block \"{:.40}\", not a PUBLIC KEY", label).into(),
        )),
        _ => Err(KeyError::Malformed(
            format!("there are {} PEM blocks where one is expected", labels.len()).into(),
        )),
    }
}

/// What an operator can look up: the OID, and the curve where there is one.
fn describe(identifier: &spki::AlgorithmIdentifierRef<'_>) -> String {
    match identifier.parameters_oid() {
        Ok(curve) => format!("algorithm {} with curve {curve}", identifier.oid),
        Err(_) => format!("algorithm {}", identifier.oid),
    }
}

fn malformed_der(error: &der::Error) -> KeyError {
    KeyError::Malformed(format!("it cannot be written as DER ({error})").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410 section 10.1.
    const RFC_8410: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_reads_back_from_every_form_it_is_written_in() {
        let key = PublicKey::from_pem(RFC_8410).expect("key");
        assert_eq!(key.algorithm().id(), "SHA256-ED25519");
        assert_eq!(key.to_pem(), RFC_8410);
        for again in [
            PublicKey::from_any(RFC_8410.as_bytes()),
            PublicKey::from_any(key.spki_der()),
            PublicKey::from_base64(&key.spki_base64()),
            PublicKey::from_raw(key.algorithm(), key.raw()),
            PublicKey::from_pem(&format!(
                "Subject: someone\n{}\r\n",
                RFC_8410.replace('\n', "\r\n")
            )),
        ] {
            assert_eq!(again, Ok(key.clone()));
        }
        let json = serde_json::to_string(&key).expect("json");
        assert_eq!(json, format!("\"{}\"", key.spki_base64()));
        assert_eq!(serde_json::from_str::<PublicKey>(&json).expect("key"), key);
        assert_eq!(key.fingerprint(), Sha256::of(key.spki_der()));
    }

    #[test]
    fn what_is_no_public_key_is_called_by_its_name() {
        for (text, said) in [
            ("", "no PEM block"),
            (
                "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
                "openssl x509",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
                "keep it secret",
            ),
            (
                "-----BEGIN EC PARAMETERS-----\nAA==\n-----END EC PARAMETERS-----\n\
                 -----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n",
                "keep it secret",
            ),
            (
                "-----BEGIN RSA PUBLIC KEY-----\nAA==\n-----END RSA PUBLIC KEY-----\n",
                "RSA PUBLIC KEY",
            ),
            (&RFC_8410.repeat(2), "2 PEM blocks"),
            (&RFC_8410.replace("MCow", "M*ow"), "unreadable PEM"),
        ] {
            let error = PublicKey::from_pem(text).expect_err(said);
            assert_eq!(error.code(), "key.malformed");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn one_key_has_one_encoding() {
        let der = PublicKey::from_pem(RFC_8410).expect("key").spki_der().to_vec();
        let key = hex::encode(&der[12..]);
        let with = |prefix: &str| hex::decode(format!("{prefix}{key}")).expect("hex");
        assert_eq!(with("302a300506032b6570032100"), der);
        for (der, what) in [
            (with("302c300706032b65700500032100"), "NULL parameters"),
            (with("30812a300506032b6570032100"), "a length in its long form"),
            (with("302a300506032b6570032101"), "unused bits"),
            ([&der[..], &[0]].concat(), "a trailing byte"),
            (der[..43].to_vec(), "a missing byte"),
            (Vec::new(), "nothing"),
        ] {
            let error = PublicKey::from_spki_der(&der).expect_err(what);
            assert_eq!(error.code(), "key.malformed", "{what}");
        }
    }

    #[test]
    fn an_algorithm_of_another_build_is_named() {
        // secp384r1, and an EC key without a curve.
        for (identifier, named) in [
            ("301006072a8648ce3d020106052b81040022", "1.3.132.0.34"),
            ("300906072a8648ce3d0201", "1.2.840.10045.2.1"),
        ] {
            let identifier = hex::decode(identifier).expect("hex");
            let body = [&identifier[..], &[0x03, 0x02, 0x00, 0x04]].concat();
            let der = [&[0x30, u8::try_from(body.len()).expect("short")], &body[..]].concat();
            let error = PublicKey::from_spki_der(&der).expect_err(named);
            assert_eq!(error.code(), "key.unsupported-algorithm");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
