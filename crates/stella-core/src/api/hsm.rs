//! `/v1/crypto/hsm`.

use std::fmt;

use super::wire;

wire! {
    /// `crypto hsm status`.
    pub struct HsmStatusList {
        pub modules: Vec<HsmModuleStatus>,
        /// What else keys are in that may fail: local HSMs, AWS KMS.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub other_stores: Vec<BreakerStatus>,
    }

    pub struct HsmModuleStatus {
        pub module: String,
        /// Meant where no module is named.
        pub default: bool,
        /// It answered just now.
        pub reached: bool,
        /// idle, starting, running, waiting, stopped: its worker process.
        pub worker: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pid: Option<u32>,
        /// How long the worker has been so.
        pub worker_seconds: f64,
        /// Of the worker, since this process began.
        pub restarts: u64,
        pub in_flight: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tokens: Option<u64>,
        /// Keys on its tokens that sign, or stand by to.
        pub keys: Vec<String>,
        /// Profiles whose signing an operator moved here.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub moved_here: Vec<String>,
        /// Whether this server sends requests to its tokens, one each.
        pub breakers: Vec<BreakerStatus>,
        /// Why it was not reached; else the last that went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub fault: Option<HsmFault>,
    }

    /// `crypto hsm failover`.
    #[serde(deny_unknown_fields)]
    pub struct Failover {
        /// A module of the configuration, or auto: each profile's own order.
        pub to: String,
        /// This profile alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub profile: Option<String>,
        /// How long, such as 8h, at most 24h; until it is given back when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lasts: Option<String>,
    }

    /// Who signs with what from now on.
    pub struct FailedOver {
        pub to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub until: Option<String>,
        pub profiles: Vec<MovedProfile>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
    }

    pub struct MovedProfile {
        pub profile: String,
        pub key_id: String,
    }

    pub struct BreakerStatus {
        /// What fails and recovers as one: a token of a module, a local HSM, KMS.
        pub store: String,
        /// closed: requests go there; open, half-open: only probes do.
        pub state: String,
        /// How long it has been so; never before it failed for the first time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub seconds: Option<f64>,
        /// Until it is probed next, where it is not closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_probe_seconds: Option<f64>,
        /// What it failed with last, while it is not closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
    }

    pub struct HsmFault {
        /// Stable.
        pub code: String,
        pub message: String,
        pub cause: String,
        /// The command that mends it.
        pub next: String,
        /// How long ago, where it is not of just now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub seconds_ago: Option<f64>,
    }

    /// What was tried on modules, step by step.
    pub struct HsmReport {
        pub ok: bool,
        pub modules: Vec<HsmModuleReport>,
    }

    pub struct HsmModuleReport {
        pub module: String,
        pub ok: bool,
        /// In their order; after one that failed come none that need it.
        pub steps: Vec<HsmStep>,
    }

    pub struct HsmStep {
        pub step: String,
        pub ok: bool,
        /// What was looked at and what came out.
        pub measured: String,
        pub milliseconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub fault: Option<HsmFault>,
    }

    /// `crypto hsm slots list`.
    pub struct HsmSlotList {
        pub slots: Vec<HsmSlot>,
    }

    pub struct HsmSlot {
        pub module: String,
        /// As the module numbers it today.
        pub slot: u64,
        pub token_present: bool,
        pub initialized: bool,
        pub label: String,
        pub serial: String,
        pub manufacturer: String,
        pub model: String,
        /// logged-in, logged-out, not-required.
        pub login: String,
        /// ok, not-set, count-low, final-try, locked, to-be-changed.
        pub pin: String,
        pub mechanisms: Vec<HsmMechanism>,
    }

    pub struct HsmMechanism {
        pub algorithm: String,
        pub mechanism: String,
        /// Keys for it can be made there.
        pub generates: bool,
    }

    /// `crypto hsm pkcs11-info`.
    pub struct HsmInfoList {
        pub modules: Vec<HsmInfo>,
    }

    pub struct HsmInfo {
        pub module: String,
        pub library: String,
        pub manufacturer: String,
        pub description: String,
        pub library_version: String,
        pub cryptoki_version: String,
        /// Of any token that is present.
        pub mechanisms: Vec<HsmMechanism>,
        /// The profiles whose keys it holds, and whether it can do their algorithm.
        pub profiles: Vec<HsmProfile>,
    }

    pub struct HsmProfile {
        pub profile: String,
        pub algorithm: String,
        pub supported: bool,
    }

    /// `crypto hsm auth verify`.
    #[serde(deny_unknown_fields)]
    pub struct VerifyPin {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub slot: Option<u64>,
        /// Try one that was refused before, and one that may be the last
        /// before the token locks.
        #[serde(default)]
        pub force: bool,
    }

    /// The PIN was tried once, and accepted.
    pub struct PinVerified {
        pub module: String,
        pub token: String,
        pub serial: String,
        pub slot: u64,
        /// How the token's flags stood before, and stand now.
        pub before: String,
        pub after: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
    }
}

// Not in the macro: whoever prints it must not see the PIN.
/// `crypto hsm auth update`.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdatePin {
    pub slot: u64,
    /// The PIN that the token has now.
    pub pin: String,
}

impl fmt::Debug for UpdatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdatePin")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
