//! How a module is to be run. Every bound of it is here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stella_core::alg::Algorithm;

use super::{ModuleName, Pin};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmOptions {
    pub name: ModuleName,
    pub kind: ModuleKind,
    /// The vendor's PKCS#11 library, or the folder of a local HSM.
    pub library: PathBuf,
    /// The PIN of the user, for every token of the module. Without one, what
    /// needs a login fails with the class [`Auth`](super::ErrorClass::Auth).
    pub pin: Option<Pin>,
    /// The whole environment of the worker.
    pub env: BTreeMap<String, String>,
    /// From asking to answering; the worker is killed when it passes.
    pub request_timeout: Duration,
    /// From the start of a worker to its readiness, and the time that a key
    /// may take to be made.
    pub start_timeout: Duration,
    /// How long a worker that is no longer used may take to finish and end.
    pub stop_timeout: Duration,
    /// Threads of the worker, each with a session of its own on each token.
    pub signers: usize,
    /// A session that was idle for so long is opened anew before it is used.
    pub session_timeout: Duration,
    /// The largest message that is handed to a token which hashes itself.
    pub max_message: usize,
    /// The wait before the second restart in a row; it doubles with each.
    pub restart_backoff: Duration,
    pub max_restart_backoff: Duration,
    /// So many tries of a PIN may end without an answer (the worker was killed
    /// or hung) before none is made by itself at a token that never accepted
    /// it in this process: each may have been counted as a wrong one.
    pub unanswered_logins: u32,
    /// Somebody has just typed the PIN: tries without an answer were of another.
    pub pin_is_new: bool,
    /// Mechanisms of algorithms for which PKCS#11 has no common one.
    pub mechanisms: BTreeMap<Algorithm, VendorMechanism>,
    /// What is started as the worker, in place of this very program.
    pub program: Option<PathBuf>,
}

impl HsmOptions {
    pub fn new(name: ModuleName, library: impl Into<PathBuf>) -> Self {
        Self {
            name,
            kind: ModuleKind::Pkcs11,
            library: library.into(),
            pin: None,
            env: BTreeMap::new(),
            request_timeout: Duration::from_secs(5),
            start_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
            signers: 4,
            session_timeout: Duration::from_secs(300),
            max_message: 16 << 20,
            restart_backoff: Duration::from_millis(100),
            max_restart_backoff: Duration::from_secs(30),
            unanswered_logins: 2,
            pin_is_new: false,
            mechanisms: BTreeMap::new(),
            program: None,
        }
    }

    /// The local HSM of this name, in this folder.
    pub fn local(name: ModuleName, folder: impl Into<PathBuf>) -> Self {
        Self {
            kind: ModuleKind::Local,
            ..Self::new(name, folder)
        }
    }
}

/// What runs in the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleKind {
    Pkcs11,
    /// The [local HSM](crate::local_hsm) of the module's name.
    Local,
}

/// A mechanism by its number, as the vendor documents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorMechanism {
    /// `CK_MECHANISM_TYPE` that signs.
    pub sign: u64,
    /// `CK_MECHANISM_TYPE` that makes a pair of keys, where keys may be made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generate: Option<u64>,
    /// `CK_KEY_TYPE` of the private key.
    pub key_type: u64,
    /// Where the mechanism hashes.
    pub input: MechanismInput,
}

/// What a mechanism signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MechanismInput {
    /// The message: the token hashes it.
    Message,
    /// The digest that the algorithm prescribes: it is computed here.
    Digest,
}
