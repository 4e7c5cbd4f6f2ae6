//! What a module tells about itself.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stella_core::alg::{Algorithm, PublicKey};

use super::{HsmError, KeyReference};

/// A slot, and the token in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// As the module numbers it today; another number after a restart is the
    /// module's right.
    pub id: u64,
    pub description: String,
    pub token_present: bool,
    pub initialized: bool,
    pub label: String,
    pub serial: String,
    pub manufacturer: String,
    pub model: String,
    pub login: LoginState,
    pub pin: PinState,
    /// The mechanisms of it that the product can use.
    pub mechanisms: Vec<Mechanism>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginState {
    LoggedIn,
    LoggedOut,
    NotRequired,
}

/// What the token's flags say about the user's PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PinState {
    pub initialized: bool,
    /// A wrong one was entered since the last right one.
    pub count_low: bool,
    /// One more wrong one locks the token.
    pub final_try: bool,
    pub locked: bool,
    pub to_be_changed: bool,
}

/// An algorithm and how the token does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mechanism {
    pub algorithm: Algorithm,
    pub mechanism: String,
    pub generates: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleInfo {
    pub library: PathBuf,
    pub manufacturer: String,
    pub description: String,
    pub library_version: String,
    pub cryptoki_version: String,
    /// Of any token that is present.
    pub mechanisms: Vec<Mechanism>,
}

/// A private key on a token, and what the token says about it. `None` where
/// the token says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// By label and serial of the token, and label and id of the key.
    pub reference: KeyReference,
    /// Absent where the token holds no public half: it has to be given.
    pub public_key: Option<PublicKey>,
    /// What the token calls its kind.
    pub key_type: String,
    pub sensitive: Option<bool>,
    pub extractable: Option<bool>,
    pub always_sensitive: Option<bool>,
    pub never_extractable: Option<bool>,
    /// Made on the token, not brought to it.
    pub local: Option<bool>,
}

/// A liveness check, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Slots with a token in them.
    pub tokens: usize,
    pub key: Option<ProbedKey>,
    pub took: Duration,
}

/// The probe of one key: found, signed with, its signature verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedKey {
    pub token_label: String,
    pub token_serial: String,
    pub slot: u64,
    pub mechanism: String,
    /// Of the signature alone.
    pub took: Duration,
}

/// What came of trying a PIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinReport {
    pub token_label: String,
    pub token_serial: String,
    pub slot: u64,
    /// As the token's flags stood before.
    pub before: PinState,
    pub after: PinState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmStatus {
    pub state: WorkerState,
    pub pid: Option<u32>,
    /// How long the state lasts.
    pub age: Duration,
    /// Of the worker, since this process began.
    pub restarts: u64,
    pub in_flight: usize,
    /// The last failure that speaks against the module, and how long ago.
    pub last_error: Option<(Duration, HsmError)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Not needed so far.
    Idle,
    Starting,
    Running,
    /// It failed, and is started again in a while.
    Waiting {
        next_start: Duration,
    },
    Stopped,
}
