//! Key stores: where private keys live and sign.
//!
//! A store implements the capabilities it has ([`Sign`], [`Generate`]) and no
//! others, and passes the one suite in [`conformance`]. The product signs
//! through [`sign_verified`] alone.
//!
//! To add a store, write a module with an implementation of the capabilities
//! and run the suite on it.
#![forbid(unsafe_code)]

pub mod aws_kms;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod entropy;
mod guarded;
pub mod hsm;
pub mod local_hsm;
pub mod pkcs11;
pub mod pool;
pub mod software;
pub mod worker;

use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use stella_core::alg::{Algorithm, PublicKey, Seen};

/// One private key that signs.
///
/// Concurrency: `sign` may be called from any number of threads at once; a
/// store that can do one thing at a time queues inside. It blocks; callers on
/// an async runtime move it off their threads.
///
/// Retries: an implementation may repeat a step once where the store's own
/// rules ask for it (a lost session), and otherwise reports. Repeating a
/// request is the caller's part, by [`SignError::retry`]. Signing again is
/// always safe: a signature that was made and not returned is nobody's.
pub trait Sign: Send + Sync {
    /// The public half, known without asking the store.
    fn public_key(&self) -> &PublicKey;

    /// Signs the message itself, never a digest that the caller made, in the
    /// encoding that [`PublicKey::verify`] reads.
    ///
    /// The answer is not believed: see [`sign_verified`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// The same without a thread that waits, where the store can do that now;
    /// otherwise `None`, and nothing was asked.
    fn begin(&self, message: &Arc<[u8]>) -> Option<Signing> {
        let _ = message;
        None
    }

    fn describe(&self) -> StoreDescription;
}

/// A signature on its way. Dropped, the store goes on with it, within the
/// store's own deadline, and nobody gets it.
pub type Signing = Pin<Box<dyn Future<Output = Progress> + Send>>;

/// How far a [`Signing`] comes by itself.
pub enum Progress {
    Done(Result<Vec<u8>, SignError>),
    /// What is left to do blocks: a login, say.
    Blocks(Rest),
}

/// To be run where it may block.
pub type Rest = Box<dyn FnOnce() -> Result<Vec<u8>, SignError> + Send>;

/// A store that makes keys.
///
/// Concurrency: as [`Sign`]. Durability: when `generate` returns, a store
/// with a memory of its own has the key in it; a software key exists only in
/// the answer until the caller has sealed and stored it. A failed `generate`
/// may leave a key behind in the store that nobody names; it is never used.
pub trait Generate: Send + Sync {
    type Key: Sign;

    fn generate(&self, algorithm: Algorithm) -> Result<Self::Key, GenerateError>;
}

/// What an operator is told about where a key lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreDescription {
    /// The kind of store, such as `software`.
    pub store: String,
    /// How it signs: the store's name of the mechanism.
    pub mechanism: String,
    /// The token or slot, where the store has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The store did not answer or is known to be down. No signature exists.
    #[error("the key store is unavailable: {0}")]
    Unavailable(String),
    /// The deadline passed. A signature may have been made; it is lost.
    #[error("the key store did not answer in time: {0}")]
    TimedOut(String),
    /// The store does not let us in: a wrong PIN, an expired credential.
    #[error("the key store refused the login: {0}")]
    Unauthenticated(String),
    /// The store is there and the key is not, or more than one fits.
    #[error("the key store does not have the key: {0}")]
    KeyMissing(String),
    /// The store will not sign this message with this key, now or later.
    #[error("the key store refused to sign: {0}")]
    Refused(String),
    #[error("the key store signs at most {limit} bytes, the message has {actual}")]
    MessageTooLarge { limit: usize, actual: usize },
    /// The store answered with something that is no signature by this key.
    #[error("the signature that the key store made does not verify with its public key")]
    DoesNotVerify,
    /// The cryptographic library failed where it should not.
    #[error("signing failed: {0}")]
    Internal(String),
}

/// What a caller does with a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The store is expected to recover by itself: repeat with backoff.
    Later,
    /// Repeat when an operator has mended something, not before.
    AfterOperator,
    /// This key will never sign this message.
    Never,
}

impl SignError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "signer.unavailable",
            Self::TimedOut(_) => "signer.timed-out",
            Self::Unauthenticated(_) => "signer.unauthenticated",
            Self::KeyMissing(_) => "signer.key-missing",
            Self::Refused(_) => "signer.refused",
            Self::MessageTooLarge { .. } => "signer.message-too-large",
            Self::DoesNotVerify => "signer.does-not-verify",
            Self::Internal(_) => "signer.internal",
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable(_) | Self::TimedOut(_) => Retry::Later,
            // A PIN that is tried again by itself locks the token.
            Self::Unauthenticated(_) | Self::KeyMissing(_) => Retry::AfterOperator,
            Self::DoesNotVerify | Self::Internal(_) => Retry::AfterOperator,
            Self::Refused(_) | Self::MessageTooLarge { .. } => Retry::Never,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    #[error("the key store cannot make keys of {0}")]
    UnsupportedAlgorithm(Algorithm),
    #[error("the key store is unavailable: {0}")]
    Unavailable(String),
    /// The store does not let us in: a wrong PIN, an expired credential.
    #[error("the key store refused the login: {0}")]
    Unauthenticated(String),
    /// The store works and does not make this key: no such token, a mechanism
    /// that it does not have.
    #[error("the key store refused to make the key: {0}")]
    Refused(String),
    /// A key of that name is there already; it was left alone.
    #[error("the key store has a key of that name: {0}")]
    Exists(String),
    #[error("making a key failed: {0}")]
    Internal(String),
}

impl GenerateError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedAlgorithm(_) => "key.unsupported-algorithm",
            Self::Unavailable(_) => "key-store.unavailable",
            Self::Unauthenticated(_) => "key-store.unauthenticated",
            Self::Refused(_) => "key-store.refused",
            Self::Exists(_) => "key-store.exists",
            Self::Internal(_) => "key-store.internal",
        }
    }
}

/// A signature that was seen to verify. Only [`sign_verified`] makes one, so
/// whatever takes this type cannot be handed an unproven signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    seen: Seen,
    public_key: PublicKey,
}

impl VerifiedSignature {
    pub fn as_bytes(&self) -> &[u8] {
        self.seen.signature()
    }

    /// For who judges it, and need not verify it again.
    pub fn into_seen(self) -> Seen {
        self.seen
    }

    /// The key with which it verifies.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// Signs, and verifies with the public key before anything is released: a
/// token that signs with the wrong key or mode is found out here and not by
/// whoever relies on the signature.
pub fn sign_verified<S: Sign + ?Sized>(signer: &S, message: &[u8]) -> Result<VerifiedSignature, SignError> {
    verified(signer, message, signer.sign(message)?)
}

/// As [`sign_verified`], on no thread of the caller's while the store signs,
/// where the store can do that. What blocks is handed to `blocking`.
pub async fn sign_verified_async<S, Blocking, Run>(
    signer: Arc<S>,
    message: Vec<u8>,
    blocking: Blocking,
) -> Result<VerifiedSignature, SignError>
where
    S: Sign + ?Sized + 'static,
    Blocking: FnOnce(Box<dyn FnOnce() -> Result<VerifiedSignature, SignError> + Send>) -> Run,
    Run: Future<Output = Result<VerifiedSignature, SignError>>,
{
    let message: Arc<[u8]> = message.into();
    let Some(signing) = signer.begin(&message) else {
        return blocking(Box::new(move || sign_verified(&*signer, &message))).await;
    };
    match signing.await {
        Progress::Done(made) => verified(&*signer, &message, made?),
        Progress::Blocks(rest) => blocking(Box::new(move || verified(&*signer, &message, rest()?))).await,
    }
}

fn verified<S: Sign + ?Sized>(
    signer: &S,
    message: &[u8],
    bytes: Vec<u8>,
) -> Result<VerifiedSignature, SignError> {
    let public_key = signer.public_key();
    let seen = public_key
        .see(message, bytes)
        .map_err(|_| SignError::DoesNotVerify)?;
    Ok(VerifiedSignature {
        seen,
        public_key: public_key.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::software::SoftwareStore;

    /// Signs something else than it was asked to.
    struct Confused(software::SoftwareKey);

    impl Sign for Confused {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            self.0.sign(&[message, b"!"].concat())
        }

        fn describe(&self) -> StoreDescription {
            self.0.describe()
        }
    }

    #[test]
    fn a_signature_that_does_not_verify_is_never_released() {
        for algorithm in Algorithm::all() {
            let signer = Confused(SoftwareStore.generate(algorithm).expect("key"));
            assert_eq!(sign_verified(&signer, b"message"), Err(SignError::DoesNotVerify));
            let signature = sign_verified(&signer.0, b"message").expect("signature");
            assert_eq!(
                signer.public_key().verify(b"message", signature.as_bytes()),
                Ok(())
            );
            assert_eq!(signature.public_key(), signer.public_key());
        }
    }

    #[test]
    fn only_what_mends_itself_is_repeated_by_itself() {
        assert_eq!(SignError::Unavailable(String::new()).retry(), Retry::Later);
        assert_eq!(
            SignError::Unauthenticated(String::new()).retry(),
            Retry::AfterOperator
        );
        assert_eq!(SignError::DoesNotVerify.retry(), Retry::AfterOperator);
        let too_large = SignError::MessageTooLarge { limit: 1, actual: 2 };
        assert_eq!(too_large.retry(), Retry::Never);
    }
}
