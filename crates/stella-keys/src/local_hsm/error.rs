//! Why a local HSM did not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use stella_core::alg::Algorithm;
use stella_core::id::KeyId;

use crate::entropy::EntropyError;
use crate::guarded::{OpenGuarded, Unsafe};
use crate::hsm::ErrorClass;

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("there is no local HSM at {}", .0.display())]
    Missing(PathBuf),
    #[error("there is something at {} already, it is not replaced", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Unsafe(Unsafe),
    #[error("{path} is damaged: {why}; restore it from a copy", path = .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{path} has format version {version}, this build reads version {ours}", path = .path.display())]
    UnsupportedVersion { path: PathBuf, version: u64, ours: u32 },
    #[error("the PIN was refused; {left} more and it is locked")]
    PinIncorrect { left: u64 },
    #[error("the PIN is locked after {limit} wrong ones; it is set anew with the recovery code")]
    PinLocked { limit: u64 },
    #[error("a PIN of a local HSM has {least} to {most} bytes")]
    PinLength { least: usize, most: usize },
    #[error("the recovery code was refused")]
    RecoveryRefused,
    #[error("it has no key \"{0}\"")]
    KeyMissing(KeyId),
    #[error("it has a key \"{0}\" already, which is never replaced")]
    KeyExists(KeyId),
    #[error("it makes no keys of {0}")]
    UnsupportedAlgorithm(Algorithm),
    #[error("it cannot {act} {path}: {source}", path = .path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("{0}")]
    Internal(String),
}

impl LocalError {
    pub(super) fn io(act: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            act,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    /// What it means for the next request.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::PinIncorrect { .. }
            | Self::PinLocked { .. }
            | Self::PinLength { .. }
            | Self::RecoveryRefused => ErrorClass::Auth,
            Self::KeyMissing(_) => ErrorClass::KeyMissing,
            Self::KeyExists(_)
            | Self::Exists(_)
            | Self::UnsupportedAlgorithm(_)
            | Self::UnsupportedVersion { .. } => ErrorClass::Config,
            Self::Missing(_)
            | Self::Unsafe(_)
            | Self::Damaged { .. }
            | Self::Io { .. }
            | Self::Entropy(_)
            | Self::Internal(_) => ErrorClass::Module,
        }
    }
}

impl From<OpenGuarded> for LocalError {
    fn from(e: OpenGuarded) -> Self {
        match e {
            OpenGuarded::Missing(path) => Self::Damaged {
                path,
                why: "it is gone".to_owned(),
            },
            OpenGuarded::Unsafe(e) => Self::Unsafe(e),
            OpenGuarded::Io { act, path, source } => Self::Io { act, path, source },
        }
    }
}
