//! Configuration: typed, with every default in one place.
//!
//! Precedence: flag, environment, runtime setting, file, default.

mod doctor;
mod document;
mod duration;
mod error;
mod hsm;
mod key_store;
mod kms;
mod limits;
mod load;
mod origin;
mod profiles;
mod rotation;
mod section;
mod server;
mod signing;
mod store;
mod tokens;
mod trust;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use stella_core::alg::Algorithm;
use stella_core::id::{KeyId, ProfileName};
use stella_core::verify::VerifyPolicy;
use stella_keys::pool::BreakerSettings;

pub use doctor::DoctorSettings;
pub use document::snake;
pub use duration::fixed as duration;
pub use error::ConfigError;
pub use hsm::{HsmModule, HsmSession, HsmSettings, LocalHsm};
pub use key_store::{BadKeyStore, KeyStoreUri};
pub use kms::{AwsKms, KmsSettings};
pub use load::{Sources, load, parse};
pub use origin::{Origin, Origins};
pub use rotation::Alert;
pub use section::nearest;
pub use store::{StoreSettings, StoreUrl};
pub use tokens::TokenSettings;
pub use trust::TrustSettings;

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
    pub store: StoreSettings,
    pub tokens: TokenSettings,
    pub trust: TrustSettings,
    pub hsm: HsmSettings,
    pub kms: KmsSettings,
    pub doctor: DoctorSettings,
    /// Where each value that is no default came from.
    pub origins: Origins,
}

impl Settings {
    /// The longest that a key store may take for one signature. Its error, with
    /// the reason, has to be there while the deadline of the request, which
    /// knows of no reason, still leaves each backup its part.
    pub fn time_of_a_key(&self) -> Duration {
        let backups = self.profiles.values().map(|profile| profile.backups.len());
        let keys = 1 + u32::try_from(backups.max().unwrap_or_default()).unwrap_or(u32::MAX - 1);
        self.signing.deadline.mul_f64(OF_THE_DEADLINE) / keys
    }
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
    /// Keys to sign with, in this order, while the profile's own store is down.
    pub backups: Vec<KeyId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub auto: bool,
    /// How long a key that was replaced stays `retiring`.
    pub overlap: Duration,
    /// `on-trust`: a pending key takes over once every anchor holds it.
    pub activate_on_trust: bool,
    /// How long before a key's end it is warned about, where its profile does
    /// not say.
    pub warning_months: u32,
    pub alerts: Vec<Alert>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSettings {
    /// How long a key store may take for one signature.
    pub deadline: Duration,
    /// Until the first repetition of a signature that failed; doubled each time.
    pub retry_first: Duration,
    pub retry_max: Duration,
    /// How long nobody else takes a record that a replica claimed to sign.
    pub claim_lifetime: Duration,
    /// Records that a replica claims at once.
    pub claim_batch: usize,
    /// Records that a replica's queue has signed in a second by one key store
    /// at most.
    pub queue_rate: Option<u32>,
    /// When a key store is left alone, and when it is back.
    pub breaker: BreakerSettings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    pub listen: Option<String>,
    /// Speak TLS on that address.
    pub tls: Option<TlsFiles>,
    /// Plain HTTP on an address that is not loopback.
    pub allow_plain_http: bool,
    /// How long requests that have begun may take at the end.
    pub shutdown_grace: Duration,
    /// Between `/readyz` turning and the last accepted connection.
    pub drain_delay: Duration,
    pub request_timeout: Duration,
    pub max_concurrent_requests: usize,
    pub max_connections: usize,
    /// How long a client may take to send a request's head.
    pub header_read_timeout: Duration,
    /// How long lines of the operations log are kept.
    pub log_retention: Duration,
    /// How often the queue of unsigned records is looked at.
    pub queue_interval: Duration,
    /// How often is looked whether a change of trust asks for judging anew.
    pub rescan_interval: Duration,
    /// What it is called among the replicas that share its store; the host's
    /// name where none is given.
    pub replica: Option<String>,
    /// Where clients reach this replica and no other, for commands about one
    /// host; unless told, the address it listens on where that is one.
    pub advertise: Option<String>,
    /// How often it tells the others that it is there.
    pub heartbeat: Duration,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate first, then the intermediates.
    pub certificate: PathBuf,
    pub key: PathBuf,
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
    /// Attestations judged anew for one question about a key or an anchor.
    pub max_rejudged: usize,
    pub max_proof_members: usize,
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
            max_rejudged: 10_000,
            max_proof_members: 64,
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            auto: false,
            overlap: Duration::from_secs(14 * 86_400),
            activate_on_trust: true,
            warning_months: 2,
            alerts: Vec::new(),
        }
    }
}

impl Default for SigningSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            retry_first: Duration::from_secs(10),
            retry_max: Duration::from_secs(600),
            claim_lifetime: Duration::from_secs(30),
            claim_batch: 32,
            queue_rate: None,
            breaker: BreakerSettings::default(),
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: None,
            tls: None,
            allow_plain_http: false,
            shutdown_grace: Duration::from_secs(10),
            drain_delay: Duration::from_secs(1),
            request_timeout: Duration::from_secs(30),
            max_concurrent_requests: 256,
            max_connections: 1024,
            header_read_timeout: Duration::from_secs(10),
            log_retention: Duration::from_secs(90 * 86_400),
            queue_interval: Duration::from_secs(5),
            rescan_interval: Duration::from_secs(5),
            replica: None,
            advertise: None,
            heartbeat: Duration::from_secs(5),
        }
    }
}

/// Every profile of the product, in software.
impl Default for Settings {
    fn default() -> Self {
        let named = [
            ("default", "SHA256-ED25519"),
            ("fips", "SHA256-ECDSA-P256"),
            ("gost", "GOST-R-34.10-2012"),
            ("pqc", "ML-DSA-65"),
            ("sm2", "SM2-P256"),
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
            store: StoreSettings::default(),
            tokens: TokenSettings::default(),
            trust: TrustSettings::default(),
            hsm: HsmSettings::default(),
            kms: KmsSettings::default(),
            doctor: DoctorSettings::default(),
            origins: Origins::default(),
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
            backups: Vec::new(),
        }
    }
}

const OF_THE_DEADLINE: f64 = 0.9;
