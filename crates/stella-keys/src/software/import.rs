//! Private keys that were made elsewhere, as PKCS#8.

use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use stella_core::alg::{Algorithm, KeyRefusal};
use zeroize::Zeroizing;

use super::{SoftwareKey, scheme};

/// Both forms of ML-DSA-65 together have 4.1 KiB.
const MAX_LEN: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("not an unencrypted PKCS#8 private key: {0}")]
    Malformed(String),
    #[error("this is {what}; write it as PKCS#8 first: {command}")]
    OtherForm {
        what: &'static str,
        command: &'static str,
    },
    #[error("the private key has {actual} bytes, at most {limit} are read")]
    TooLarge { limit: usize, actual: usize },
    #[error("a private key of {0} cannot be used by this build")]
    UnsupportedAlgorithm(String),
    /// The encoding is right and the content is no key, or its two halves do
    /// not belong together.
    #[error("not a whole private key of {0}: a part is missing, out of range, or of another key")]
    Inconsistent(Algorithm),
}

impl ImportError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::OtherForm { .. } => "key-store.not-pkcs8",
            Self::TooLarge { .. } => "key-store.too-large",
            Self::UnsupportedAlgorithm(_) => "key.unsupported-algorithm",
            Self::Inconsistent(_) => "key-store.inconsistent-key",
        }
    }
}

impl SoftwareKey {
    /// Reads PKCS#8 in PEM (`PRIVATE KEY`) or DER: Ed25519 versions 1 and 2,
    /// P-256, SM2, GOST in the forms of gost-engine, ML-DSA-65 as seed,
    /// expanded key or both. No error repeats any of the bytes. The caller cleanses its own copy.
    pub fn import(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.len() > MAX_LEN {
            return Err(ImportError::TooLarge {
                limit: MAX_LEN,
                actual: bytes.len(),
            });
        }
        let pkcs8 = match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(BEGIN) => from_pem(text)?,
            _ => Zeroizing::new(bytes.to_vec()),
        };
        let algorithm = algorithm_of(&pkcs8)?;
        let scheme =
            scheme::of(algorithm).ok_or_else(|| ImportError::UnsupportedAlgorithm(algorithm.to_string()))?;
        Self::from_pkcs8(algorithm, scheme, pkcs8).ok_or(ImportError::Inconsistent(algorithm))
    }
}

fn algorithm_of(pkcs8: &[u8]) -> Result<Algorithm, ImportError> {
    // What `openssl pkey -outform DER` makes of an EC key.
    if let [0x30, _, 0x02, 0x01, 0x01, 0x04, ..] = pkcs8 {
        return Err(ImportError::OtherForm {
            what: SEC1,
            command: "openssl pkcs8 -topk8 -nocrypt -inform DER -in FILE",
        });
    }
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|e| ImportError::Malformed(e.to_string()))?;
    let algorithm = Algorithm::of_identifier(&info.algorithm).ok_or_else(|| {
        let oid = info.algorithm.oid;
        ImportError::UnsupportedAlgorithm(match info.algorithm.parameters_oid() {
            Ok(curve) => format!("algorithm {oid} with curve {curve}"),
            Err(_) => format!("algorithm {oid}"),
        })
    })?;
    match algorithm.scheme().check_parameters(&info.algorithm) {
        Ok(()) => Ok(algorithm),
        Err(KeyRefusal::Unsupported(what)) => Err(ImportError::UnsupportedAlgorithm(what)),
        Err(KeyRefusal::Malformed(why) | KeyRefusal::Weak(why)) => {
            Err(ImportError::Malformed(why.to_owned()))
        }
    }
}

const BEGIN: &str = "-----BEGIN ";
const SEC1: &str = "an EC private key in the form of SEC 1";

fn from_pem(text: &str) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let labels: Vec<&str> = text
        .split(BEGIN)
        .skip(1)
        .map(|rest| rest.split("-----").next().unwrap_or_default())
        .collect();
    let other = |what, command| Err(ImportError::OtherForm { what, command });
    match labels[..] {
        ["PRIVATE KEY"] => {}
        ["ENCRYPTED PRIVATE KEY"] => {
            return other(
                "an encrypted private key",
                "openssl pkcs8 -in FILE -out PLAIN (and remove PLAIN afterwards)",
            );
        }
        ["EC PRIVATE KEY"] | ["EC PARAMETERS", "EC PRIVATE KEY"] => {
            return other(SEC1, "openssl pkcs8 -topk8 -nocrypt -in FILE");
        }
        ["PUBLIC KEY" | "CERTIFICATE"] => {
            return Err(ImportError::Malformed(
                "there is only a public key in it".to_owned(),
            ));
        }
        [_] => {
            return Err(ImportError::Malformed(
                "the PEM block is of another kind".to_owned(),
            ));
        }
        _ => {
            return Err(ImportError::Malformed(format!(
                "there are {} PEM blocks where one is expected",
                labels.len()
            )));
        }
    }
    let (_, document) =
        SecretDocument::from_pem(text.trim()).map_err(|e| ImportError::Malformed(e.to_string()))?;
    Ok(Zeroizing::new(document.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsRawBytes;
    use aws_lc_rs::signature::{Ed25519KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::{Sign, sign_verified};

    /// RFC 8410 section 10.3.
    const ED25519_V1: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const ED25519_V2: &str = "-----BEGIN PRIVATE KEY-----\n\
        MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
        Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn reads_the_keys_of_rfc_8410_in_both_versions() {
        for pem in [ED25519_V1, ED25519_V2] {
            let key = SoftwareKey::import(pem.as_bytes()).expect("key");
            assert_eq!(key.public_key().spki_base64(), ED25519_PUBLIC);
            assert!(sign_verified(&key, b"message").is_ok());
        }
    }

    #[test]
    fn reads_what_the_library_writes() {
        let pair = Ed25519KeyPair::generate().expect("pair");
        for document in [pair.to_pkcs8(), pair.to_pkcs8v1()] {
            let document = document.expect("document");
            assert!(SoftwareKey::import(document.as_ref()).is_ok());
        }
    }

    #[test]
    fn reads_ml_dsa_as_seed_and_expanded() {
        let pair = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &[7; 32]).expect("pair");
        let seed = SoftwareKey::import(pair.to_pkcs8v1().expect("document").as_ref()).expect("seed");

        let expanded = pair.private_key().as_raw_bytes().expect("expanded");
        let inner = sequence_of(0x04, expanded.as_ref());
        let body = [
            &[
                0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03,
                0x12,
            ][..],
            &sequence_of(0x04, &inner),
        ]
        .concat();
        let expanded = SoftwareKey::import(&sequence_of(0x30, &body)).expect("expanded");
        assert_eq!(seed.public_key(), expanded.public_key());
        assert!(sign_verified(&expanded, b"message").is_ok());
    }

    #[test]
    fn halves_of_two_keys_are_refused() {
        let mut der = STANDARD
            .decode(
                ED25519_V2
                    .lines()
                    .filter(|l| !l.contains('-'))
                    .collect::<String>(),
            )
            .expect("base64");
        let last = der.len() - 1;
        der[last] ^= 1;
        let error = SoftwareKey::import(&der).expect_err("another public key");
        assert_eq!(error.code(), "key-store.inconsistent-key");
    }

    #[test]
    fn says_what_a_file_is_instead_and_never_repeats_it() {
        let secret = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp";
        let block = |label: &str| format!("-----BEGIN {label}-----\n{secret}\n-----END {label}-----\n");
        for (text, code, said) in [
            (
                block("ENCRYPTED PRIVATE KEY"),
                "key-store.not-pkcs8",
                "openssl pkcs8 -in",
            ),
            (block("EC PRIVATE KEY"), "key-store.not-pkcs8", "-topk8"),
            (block("PUBLIC KEY"), "key-store.not-pkcs8", "only a public key"),
            (block("CERTIFICATE"), "key-store.not-pkcs8", "only a public key"),
            (ED25519_V1.repeat(2), "key-store.not-pkcs8", "2 PEM blocks"),
            (block("PRIVATE KEY"), "key-store.not-pkcs8", "PKCS#8"),
            (secret.to_owned(), "key-store.not-pkcs8", "PKCS#8"),
            (String::new(), "key-store.not-pkcs8", "PKCS#8"),
            ("a".repeat(MAX_LEN + 1), "key-store.too-large", "at most"),
        ] {
            let error = SoftwareKey::import(text.as_bytes()).expect_err(said);
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.to_string().contains(&secret[..16]));
        }
    }

    #[test]
    fn a_trailing_or_missing_byte_is_refused() {
        let der = STANDARD
            .decode(
                ED25519_V1
                    .lines()
                    .filter(|l| !l.contains('-'))
                    .collect::<String>(),
            )
            .expect("base64");
        assert!(SoftwareKey::import(&der).is_ok());
        assert!(SoftwareKey::import(&[&der[..], &[0]].concat()).is_err());
        for len in 0..der.len() {
            assert!(SoftwareKey::import(&der[..len]).is_err(), "{len}");
        }
    }

    /// A DER tag, the length of the content in two bytes or less, the content.
    fn sequence_of(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x82, len[0], len[1]], content].concat()
    }
}
