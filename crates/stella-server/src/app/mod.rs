//! The use cases, one file each. No web framework, no SQL, no PKCS#11 here.

pub mod anchors;
pub mod attest;
pub mod audit;
pub mod aws_kms;
pub mod backup;
pub mod caller;
pub mod crypto;
pub mod error;
pub mod keys;
pub mod local_hsm;
pub mod logs;
mod page;
pub mod pool;
pub mod proof;
pub mod replicas;
pub mod rescan;
pub mod runtime_config;
pub mod signers;
pub mod status;
pub mod tokens;
pub mod trust;
pub mod trust_export;
pub mod values;
pub mod verify;

use std::sync::Arc;

use stella_core::time::{Clock, Timestamp};
use stella_store::Store;

use crate::config::Settings;
use crate::entropy::Entropy;

pub use caller::{Caller, Permission, Role};
pub use error::{Error, ErrorKind, Result};

/// What every use case works with. Cheap to share, safe to use from many
/// tasks at once.
pub struct App {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub settings: Settings,
    pub trust: trust::Trust,
    pub known_tokens: tokens::KnownTokens,
    pub signers: signers::Signers,
    pub modules: crypto::hsm::Modules,
    pub doctor: crate::doctor::Turn,
    pub backups: backup::Backups,
    /// Told of what was recorded for the queue to sign at once.
    pub queued: tokio::sync::Notify,
    /// What this server is called among those that share its store.
    pub replica: replicas::Replica,
    /// What `status` says this instance is.
    pub target: Target,
}

#[derive(Debug, Clone)]
pub struct Target {
    /// The home, for people.
    pub place: String,
    /// embedded, server.
    pub mode: &'static str,
}

impl App {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
