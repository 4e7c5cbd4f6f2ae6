//! Keys in AWS KMS: they are made there, stay there and sign there.
//!
//! The client is behind the feature `aws-kms`. A build without it has the same
//! names, so that whoever calls them needs no condition; starting the store
//! then says that this build has none.

mod mechanism;
mod reference;

#[cfg(not(feature = "aws-kms"))]
mod absent;
#[cfg(feature = "aws-kms")]
mod call;
#[cfg(feature = "aws-kms")]
mod client;
#[cfg(feature = "aws-kms")]
mod failure;
#[cfg(feature = "aws-kms")]
mod mu;
#[cfg(feature = "aws-kms")]
mod quota;
#[cfg(feature = "aws-kms")]
mod retry;
#[cfg(feature = "aws-kms")]
mod runtime;

use std::path::PathBuf;
use std::time::Duration;

use stella_core::alg::{Algorithm, PublicKey};

#[cfg(not(feature = "aws-kms"))]
pub use absent::{AwsKms, AwsKmsKey};
#[cfg(feature = "aws-kms")]
pub use client::{AwsKms, AwsKmsKey};
pub use reference::{Alias, BadKmsKeyRef, KmsKeyRef};

/// Whether a store can be started at all.
pub const IN_THIS_BUILD: bool = cfg!(feature = "aws-kms");

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKmsOptions {
    /// Without one, what the environment and the profile files of AWS say.
    pub region: Option<String>,
    /// Another address than the region's own: a VPC endpoint, an emulator.
    pub endpoint: Option<String>,
    /// A credentials file of AWS to take them from. Without one, they come from
    /// where the tools of AWS look: environment, profiles, web identity, the
    /// container's and the machine's role.
    pub credentials_file: Option<PathBuf>,
    /// Of the account's quota for cryptographic operations, how much is ours.
    pub requests_per_second: u32,
    /// For one signature, with all its repetitions.
    pub request_timeout: Duration,
    pub connect_timeout: Duration,
}

/// A key that is in KMS and fit to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// Its id, which stays when aliases move.
    pub at: KmsKeyRef,
    pub arn: String,
    pub public_key: PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("this build has no AWS KMS: it was made without the feature aws-kms")]
    NotInThisBuild,
    #[error("the thread that talks to AWS KMS could not be started: {0}")]
    Thread(String),
}

impl StartError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInThisBuild => "key-store.unsupported",
            Self::Thread(_) => "key-store.unavailable",
        }
    }

    /// What mends it.
    pub fn next(&self) -> &'static str {
        match self {
            Self::NotInThisBuild => {
                "install a stella that has it, or build one: cargo build --release -p stella-cli --features aws-kms"
            }
            Self::Thread(_) => "raise the limit of threads and processes (ulimit -u), then repeat",
        }
    }
}

/// Whether KMS has keys of this algorithm at all.
pub fn has(algorithm: Algorithm) -> bool {
    mechanism::of(algorithm).is_some()
}

/// The longest message that a key of this algorithm signs in KMS, where there
/// is a longest one: pure Ed25519 takes the whole message, the others what
/// was computed from it.
pub fn message_limit(algorithm: Algorithm) -> Option<usize> {
    mechanism::of(algorithm)?.limit()
}
