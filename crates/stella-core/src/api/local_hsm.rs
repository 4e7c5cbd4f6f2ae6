//! `/v1/crypto/local-hsm`.

use std::fmt;

use super::wire;

wire! {
    pub struct LocalHsm {
        pub name: String,
        /// Where its files are.
        pub folder: String,
        /// Random: tells it from another of the same name.
        pub serial: String,
        /// Wrong PINs since the last right one.
        pub wrong_pins: u64,
        /// As many lock it.
        pub pin_limit: u64,
        pub locked: bool,
    }
}

// Not in the macro: whoever prints these must not see the recovery code.
/// A new local HSM.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LocalHsmMade {
    #[serde(flatten)]
    pub hsm: LocalHsm,
    /// Sets a new PIN when the old one is locked or lost. Shown this once.
    pub recovery_code: String,
}

/// Sets the PIN of its file, and unlocks.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoverLocalHsm {
    pub recovery_code: String,
}

impl fmt::Debug for LocalHsmMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHsmMade")
            .field("hsm", &self.hsm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RecoverLocalHsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverLocalHsm").finish_non_exhaustive()
    }
}
