//! Configuration: typed, with every default in one place.
//!
//! Precedence: flag, environment, runtime setting, file, default.

use std::collections::BTreeMap;
use std::time::Duration;

use stella_core::alg::Algorithm;
use stella_core::id::ProfileName;
use stella_core::verify::VerifyPolicy;

/// The configuration as the process was started with. Runtime settings are
/// events and live in the trust state.
#[derive(Debug, Clone)]
pub struct Settings {
    pub profiles: BTreeMap<ProfileName, Profile>,
    pub rotation: Rotation,
    pub signing: SigningSettings,
    pub server: ServerSettings,
    pub verify: VerifyPolicy,
    pub limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub algorithm: Algorithm,
    /// `software://`, `hsm://...`, `kms://...`.
    pub key_store: String,
    pub max_age_months: u32,
    pub warning_months: u32,
    /// Whether keys of this profile sign nowhere else.
    pub exclusive: bool,
    /// Whether signing in software is permitted when its store is down.
    pub allow_software: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub auto: bool,
    /// How long a key that was replaced stays `retiring`.
    pub overlap: Duration,
    /// `on-trust`: a pending key takes over once every anchor holds it.
    pub activate_on_trust: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSettings {
    /// How long a key store may take for one signature.
    pub deadline: Duration,
    /// Until the first repetition of a signature that failed; doubled each time.
    pub retry_first: Duration,
    pub retry_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    pub listen: Option<String>,
    /// Plain HTTP on an address that is not loopback.
    pub allow_plain_http: bool,
    pub shutdown_grace: Duration,
    pub request_timeout: Duration,
    pub max_concurrent_requests: usize,
}

/// Bounds on what comes in; each answers with a clear error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub max_body_bytes: usize,
    pub max_json_depth: usize,
    pub max_subjects: usize,
    pub max_signatures: usize,
    pub max_list: usize,
    /// Candidates looked at for one artifact.
    pub max_attestations_per_artifact: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 * 1024 * 1024,
            max_json_depth: 64,
            max_subjects: 1024,
            max_signatures: 16,
            max_list: 1000,
            max_attestations_per_artifact: 1000,
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            auto: false,
            overlap: Duration::from_secs(14 * 86_400),
            activate_on_trust: true,
        }
    }
}

impl Default for SigningSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            retry_first: Duration::from_secs(10),
            retry_max: Duration::from_secs(600),
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: None,
            allow_plain_http: false,
            shutdown_grace: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_concurrent_requests: 256,
        }
    }
}

/// Every profile of the runbook that this build has an algorithm for, in software.
impl Default for Settings {
    fn default() -> Self {
        let named = [
            ("default", "SHA256-ED25519"),
            ("fips", "SHA256-ECDSA-P256"),
            ("pqc", "ML-DSA-65"),
        ];
        let profiles = named
            .into_iter()
            .filter_map(|(name, algorithm)| {
                Some((name.parse().ok()?, Profile::software(algorithm.parse().ok()?)))
            })
            .collect();
        Self {
            profiles,
            rotation: Rotation::default(),
            signing: SigningSettings::default(),
            server: ServerSettings::default(),
            verify: VerifyPolicy::default(),
            limits: Limits::default(),
        }
    }
}

impl Profile {
    pub fn software(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            key_store: "software://".to_owned(),
            max_age_months: 12,
            warning_months: 2,
            exclusive: true,
            allow_software: true,
        }
    }
}
