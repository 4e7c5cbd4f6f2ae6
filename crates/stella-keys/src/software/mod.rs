//! The software key store: private keys in this process, sealed at rest.
//!
//! A key is generated or imported, sealed under the sealing key of the home
//! ([`sealing`]) into a blob that whoever keeps the database stores, and
//! opened from it to sign. Nothing here gives private bytes away: there is no
//! export.

mod import;
mod scheme;
mod sealed;
pub mod sealing;

use std::fmt;

use stella_core::alg::{Algorithm, PublicKey};
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError, SystemEntropy};
use crate::{Generate, GenerateError, Sign, SignError, StoreDescription};
use scheme::{Pair, PrivateScheme};

pub use import::ImportError;
pub(crate) use sealed::SealedBytes;
pub use sealed::{OpenError, SealError, SealedKey, Sealer};
pub use sealing::{FILE_NAME as SEALING_KEY_FILE, PassphraseParams, SealingKey, SealingKeyError};

/// A private key in the memory of this process.
///
/// Its bytes are cleansed when it is dropped: the PKCS#8 kept for sealing by
/// `zeroize`, the key object by its library. Core dumps and swap are the process's
/// affair, not this type's.
pub struct SoftwareKey {
    public_key: PublicKey,
    pair: Box<dyn Pair>,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SoftwareKey {
    /// Makes a key whose every secret bit comes from `entropy`.
    pub fn generate(algorithm: Algorithm, entropy: &mut dyn Entropy) -> Result<Self, GenerateError> {
        let scheme = scheme::of(algorithm).ok_or(GenerateError::UnsupportedAlgorithm(algorithm))?;
        for _ in 0..DRAWS {
            let mut secret = Zeroizing::new([0; 32]);
            entropy
                .fill(&mut *secret)
                .map_err(|EntropyError(why)| GenerateError::Unavailable(why))?;
            if let Some(key) = Self::from_pkcs8(algorithm, scheme, scheme.pkcs8_of(&secret)) {
                return Ok(key);
            }
        }
        Err(GenerateError::Internal(format!(
            "{DRAWS} draws of random bytes gave no key of {algorithm}"
        )))
    }

    pub fn algorithm(&self) -> Algorithm {
        self.public_key.algorithm()
    }

    /// `None` when it is no whole key of this algorithm.
    fn from_pkcs8(
        algorithm: Algorithm,
        scheme: &dyn PrivateScheme,
        pkcs8: Zeroizing<Vec<u8>>,
    ) -> Option<Self> {
        let pair = scheme.open(&pkcs8).ok()?;
        let public_key = PublicKey::from_raw(algorithm, pair.raw_public_key()).ok()?;
        Some(Self {
            public_key,
            pair,
            pkcs8,
        })
    }
}

impl Sign for SoftwareKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.pair
            .sign(message, &mut SystemEntropy)
            .map_err(|_| SignError::Internal(format!("{} in software", self.algorithm())))
    }

    fn describe(&self) -> StoreDescription {
        let scheme = self.algorithm().scheme();
        StoreDescription {
            store: "software".to_owned(),
            mechanism: format!("{} ({})", scheme.standard(), scheme.provider()),
            slot: None,
        }
    }
}

/// The public fingerprint and nothing else.
impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SoftwareKey({} sha256:{})",
            self.algorithm(),
            self.public_key.fingerprint()
        )
    }
}

/// Makes software keys from the operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftwareStore;

impl Generate for SoftwareStore {
    type Key = SoftwareKey;

    fn generate(&self, algorithm: Algorithm) -> Result<SoftwareKey, GenerateError> {
        SoftwareKey::generate(algorithm, &mut SystemEntropy)
    }
}

/// Of 32 random bytes all but one in 2^32 are a key on each of the curves, and
/// all are a key of the others: more draws than this mean that the bytes are
/// not random.
const DRAWS: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance::conformance;

    #[test]
    fn passes_the_suite() {
        conformance(|algorithm| {
            let key = SoftwareStore.generate(algorithm).ok()?;
            Some(Arc::new(key) as Arc<dyn Sign>)
        });
    }

    #[test]
    fn has_every_algorithm_of_the_core() {
        for algorithm in Algorithm::all() {
            assert!(SoftwareStore.generate(algorithm).is_ok(), "{algorithm}");
        }
    }

    #[test]
    fn the_same_random_bytes_make_the_same_key() {
        for algorithm in Algorithm::all() {
            let make = |byte: u8| {
                let mut fixed = move |out: &mut [u8]| out.fill(byte);
                SoftwareKey::generate(algorithm, &mut fixed).expect("key")
            };
            assert_eq!(make(7).public_key(), make(7).public_key());
            assert_ne!(make(7).public_key(), make(8).public_key());
        }
    }

    #[test]
    fn random_bytes_that_are_no_key_are_drawn_again_and_not_for_ever() {
        let p256: Algorithm = "p256".parse().expect("algorithm");
        let mut draws = 0;
        let mut late = |out: &mut [u8]| {
            draws += 1;
            // Beyond the group order at first.
            out.fill(if draws < 3 { 0xff } else { 0x11 });
        };
        assert!(SoftwareKey::generate(p256, &mut late).is_ok());
        assert_eq!(draws, 3);

        let mut zeros = |out: &mut [u8]| out.fill(0);
        let error = SoftwareKey::generate(p256, &mut zeros).expect_err("zero is no key");
        assert_eq!(error.code(), "key-store.internal");
    }

    #[test]
    fn a_failed_source_of_randomness_makes_no_key() {
        struct Broken;
        impl Entropy for Broken {
            fn fill(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
                Err(EntropyError("no device".to_owned()))
            }
        }
        for algorithm in Algorithm::all() {
            let error = SoftwareKey::generate(algorithm, &mut Broken).expect_err("no entropy");
            assert_eq!(error.code(), "key-store.unavailable");
        }
    }

    #[test]
    fn debug_shows_the_public_fingerprint_alone() {
        for algorithm in Algorithm::all() {
            let mut fixed = |out: &mut [u8]| out.fill(0x5a);
            let key = SoftwareKey::generate(algorithm, &mut fixed).expect("key");
            let fingerprint = key.public_key().fingerprint();
            assert_eq!(
                format!("{key:?}"),
                format!("SoftwareKey({algorithm} sha256:{fingerprint})")
            );
        }
    }
}
