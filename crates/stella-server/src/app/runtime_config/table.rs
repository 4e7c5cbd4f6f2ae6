//! The table of settings: name, what it takes, what it means. The reference
//! is generated from it.
//!
//! A setting is settable at run time only if it says so here: whoever holds a
//! token must not choose what the server loads, listens on or trusts.

use std::path::PathBuf;
use std::time::Duration;

use super::AUTO;
use crate::config::{HsmSession, Settings, TlsFiles};

#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In the snake spelling; the camel one is the same key.
    pub key: &'static str,
    pub kind: Kind,
    pub description: &'static str,
    pub runtime: bool,
    /// Further keys of the file that mean the same.
    pub also: &'static [&'static str],
    /// What file, environment and defaults make it.
    pub value: fn(&Settings) -> String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Flag,
    /// A whole number above zero, at most this.
    Number(u32),
    OneOf(&'static [&'static str]),
    KeyId,
    Duration,
    Text,
}

impl Kind {
    /// For people and for the reference.
    pub fn describe(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Number(u32::MAX) => "a whole number above zero".to_owned(),
            Self::Number(max) => format!("a whole number from 1 to {max}"),
            Self::OneOf(words) => words.join(", "),
            Self::KeyId => "a key id".to_owned(),
            Self::Duration => "a duration such as 300s, 5m, 1h or 14d".to_owned(),
            Self::Text => "text".to_owned(),
        }
    }
}

pub const SIGNING_MODE: &str = "signing.mode";
pub const HSM_FAILOVER: &str = "hsm.failover";
pub const SIGNING_KEY: &str = "signing.key_id";
pub const ROTATION_AUTO: &str = "rotation.auto";
pub const ROTATION_OVERLAP: &str = "rotation.overlap_days";
pub const ROTATION_ACTIVATE: &str = "rotation.activate";
pub const ROTATION_WARNING: &str = "rotation.warning_months";

pub const SESSION_TIMEOUT: &str = "session.timeout";
pub const SESSION_KEEPALIVE: &str = "session.keepalive";
pub const SESSION_KEEPALIVE_INTERVAL: &str = "session.keepalive_interval";
pub const LIBRARY_PATH: &str = "pkcs11.library_path";

pub const MODES: &[&str] = &["auto", "hsm", "kms", "software"];

const fn at_run_time(
    key: &'static str,
    kind: Kind,
    value: fn(&Settings) -> String,
    description: &'static str,
) -> Setting {
    Setting {
        key,
        kind,
        description,
        runtime: true,
        also: &[],
        value,
    }
}

const fn in_file(
    key: &'static str,
    kind: Kind,
    value: fn(&Settings) -> String,
    description: &'static str,
) -> Setting {
    Setting {
        runtime: false,
        ..at_run_time(key, kind, value, description)
    }
}

fn tls_file(settings: &Settings, which: fn(&TlsFiles) -> &PathBuf) -> String {
    path(settings.server.tls.as_ref().map(which))
}

fn path(file: Option<&PathBuf>) -> String {
    file.map(|f| f.display().to_string()).unwrap_or_default()
}

const ANY: Kind = Kind::Number(u32::MAX);

pub const SETTINGS: &[Setting] = &[
    at_run_time(
        SIGNING_MODE,
        Kind::OneOf(MODES),
        |_| "auto".to_owned(),
        "which kind of key store signs: auto is each profile's own",
    ),
    at_run_time(
        HSM_FAILOVER,
        Kind::Text,
        |_| AUTO.to_owned(),
        "the module whose keys sign before a profile's others, as crypto hsm failover sets it: auto is none",
    ),
    at_run_time(
        SIGNING_KEY,
        Kind::KeyId,
        |_| String::new(),
        "the key to sign with; setting it is the same as keys activate",
    ),
    at_run_time(
        ROTATION_AUTO,
        Kind::Flag,
        |s| s.rotation.auto.to_string(),
        "whether successors of ageing keys are made without being asked for (kept; not done by this build yet)",
    ),
    Setting {
        also: &["rotation.overlap"],
        ..at_run_time(
            ROTATION_OVERLAP,
            Kind::Number(3650),
            |s| days(s.rotation.overlap),
            "how many days a key that was replaced stays retiring",
        )
    },
    at_run_time(
        ROTATION_ACTIVATE,
        Kind::OneOf(&["on-trust", "manual"]),
        |s| activate(s.rotation.activate_on_trust),
        "on-trust: a pending key takes over once every anchor that holds the outgoing key holds it",
    ),
    at_run_time(
        ROTATION_WARNING,
        Kind::Number(120),
        |s| s.rotation.warning_months.to_string(),
        "how many months before a key's end it is warned about",
    ),
    at_run_time(
        SESSION_TIMEOUT,
        Kind::Duration,
        |s| span(session(s).timeout),
        "how long a session with an HSM may be idle before it is opened anew; of every module, from the next crypto hsm reconnect",
    ),
    at_run_time(
        SESSION_KEEPALIVE,
        Kind::Flag,
        |s| session(s).keepalive.to_string(),
        "whether sessions with HSMs are kept alive by probe signatures",
    ),
    at_run_time(
        SESSION_KEEPALIVE_INTERVAL,
        Kind::Duration,
        |s| span(session(s).keepalive_interval),
        "how long from one probe signature to the next",
    ),
    in_file(
        LIBRARY_PATH,
        Kind::Text,
        |s| {
            s.hsm
                .modules
                .first()
                .map(|m| m.library_path.display().to_string())
                .unwrap_or_default()
        },
        "the PKCS#11 library of the first module (hsm.modules.NAME.libraryPath)",
    ),
    in_file(
        "signing.deadline",
        Kind::Duration,
        |s| span(s.signing.deadline),
        "how long a key store may take for one signature",
    ),
    in_file(
        "signing.retry_first",
        Kind::Duration,
        |s| span(s.signing.retry_first),
        "until the first repetition of a signature that failed; doubled each time",
    ),
    in_file(
        "signing.retry_max",
        Kind::Duration,
        |s| span(s.signing.retry_max),
        "the longest pause between repetitions",
    ),
    in_file(
        "signing.claim_lifetime",
        Kind::Duration,
        |s| span(s.signing.claim_lifetime),
        "how long no other replica takes a record that one claimed to sign; never less than twice signing.deadline",
    ),
    in_file(
        "signing.claim_batch",
        ANY,
        |s| s.signing.claim_batch.to_string(),
        "unsigned records that a replica claims at once",
    ),
    in_file(
        "signing.queue_rate",
        ANY,
        |s| {
            s.signing
                .queue_rate
                .map(|rate| rate.to_string())
                .unwrap_or_default()
        },
        "unsigned records that a replica has one key store sign in a second at most; in AWS KMS never more than half of kms.aws.requestsPerSecond",
    ),
    in_file(
        "signing.breaker.failures",
        ANY,
        |s| s.signing.breaker.failures.to_string(),
        "failures in a row after which a key store is left alone and backup keys sign; one that hangs is at once",
    ),
    in_file(
        "signing.breaker.good_probes",
        ANY,
        |s| s.signing.breaker.good_probes.to_string(),
        "good probes in a row after which signing is back in a key store",
    ),
    in_file(
        "signing.breaker.first_pause",
        Kind::Duration,
        |s| span(s.signing.breaker.first_pause),
        "until the first probe of a key store that failed; doubled with each bad one",
    ),
    in_file(
        "signing.breaker.max_pause",
        Kind::Duration,
        |s| span(s.signing.breaker.max_pause),
        "the longest pause between probes of a key store that is down",
    ),
    in_file(
        "signing.breaker.probe_interval",
        Kind::Duration,
        |s| span(s.signing.breaker.probe_interval),
        "between good probes of a key store that was down",
    ),
    in_file(
        "store.url",
        Kind::Text,
        |s| s.store.url.to_string(),
        "where everything is kept: sqlite: in the home, sqlite:/PATH, or postgres://USER@HOST/DATABASE; STELLA_STORE beats it",
    ),
    in_file(
        "store.password_file",
        Kind::Text,
        |s| path(s.store.password_file.as_ref()),
        "a file with the password for PostgreSQL alone; read for each connection",
    ),
    in_file(
        "store.pool.size",
        ANY,
        |s| s.store.pool_size.to_string(),
        "connections to PostgreSQL that read at the same time; one more writes",
    ),
    in_file(
        "store.connect_timeout",
        Kind::Duration,
        |s| span(s.store.connect_timeout),
        "how long to wait for a connection to PostgreSQL, a new one or one of the pool's",
    ),
    in_file(
        "store.statement_timeout",
        Kind::Duration,
        |s| span(s.store.statement_timeout),
        "how long one statement may take in PostgreSQL",
    ),
    in_file(
        "store.lock_timeout",
        Kind::Duration,
        |s| span(s.store.lock_timeout),
        "how long a statement may wait for a lock in PostgreSQL",
    ),
    in_file(
        "store.idle_in_transaction_timeout",
        Kind::Duration,
        |s| span(s.store.idle_in_transaction_timeout),
        "when PostgreSQL ends a transaction whose server has fallen silent",
    ),
    in_file(
        "store.retry_for",
        Kind::Duration,
        |s| span(s.store.retry_for),
        "how long a write to PostgreSQL is tried again after failures that pass",
    ),
    in_file(
        "server.listen",
        Kind::Text,
        |s| s.server.listen.clone().unwrap_or_default(),
        "the address to serve HTTP on; the socket in the home is always there",
    ),
    in_file(
        "server.tls.cert_file",
        Kind::Text,
        |s| tls_file(s, |tls| &tls.certificate),
        "PEM file with the certificate and its intermediates: the address speaks TLS; read again when it changes",
    ),
    in_file(
        "server.tls.key_file",
        Kind::Text,
        |s| tls_file(s, |tls| &tls.key),
        "PEM file with the certificate's private key",
    ),
    in_file(
        "server.allow_plain_http",
        Kind::Flag,
        |s| s.server.allow_plain_http.to_string(),
        "plain HTTP on an address that is not loopback",
    ),
    in_file(
        "server.shutdown_grace",
        Kind::Duration,
        |s| span(s.server.shutdown_grace),
        "how long requests in flight are waited for",
    ),
    in_file(
        "server.request_timeout",
        Kind::Duration,
        |s| span(s.server.request_timeout),
        "how long one request may take",
    ),
    in_file(
        "server.header_read_timeout",
        Kind::Duration,
        |s| span(s.server.header_read_timeout),
        "how long a client may take to send a request's head",
    ),
    in_file(
        "server.max_concurrent_requests",
        ANY,
        |s| s.server.max_concurrent_requests.to_string(),
        "requests worked on at once",
    ),
    in_file(
        "server.max_connections",
        ANY,
        |s| s.server.max_connections.to_string(),
        "connections open at once",
    ),
    in_file(
        "server.log_retention",
        Kind::Duration,
        |s| span(s.server.log_retention),
        "how long lines of the operations log are kept",
    ),
    in_file(
        "server.queue_interval",
        Kind::Duration,
        |s| span(s.server.queue_interval),
        "how often unsigned records are looked at",
    ),
    in_file(
        "server.rescan_interval",
        Kind::Duration,
        |s| span(s.server.rescan_interval),
        "how often is looked whether a change of trust asks for judging anew",
    ),
    in_file(
        "server.advertise",
        ANY,
        |s| s.server.advertise.clone().unwrap_or_default(),
        "where clients reach this replica and no other (--replica); unless told, the address it listens on where that is one",
    ),
    in_file(
        "server.replica",
        Kind::Text,
        |s| s.server.replica.clone().unwrap_or_default(),
        "what this server is called among those that share its store; without one, the host's name",
    ),
    in_file(
        "server.heartbeat",
        Kind::Duration,
        |s| span(s.server.heartbeat),
        "how often a server tells those that share its store that it is there, and how it is set up",
    ),
    in_file(
        "verify.own_operator",
        Kind::Text,
        |s| s.verify.own_operator.clone(),
        "the operator whose word about its own signatures is only a claim",
    ),
    in_file(
        "verify.require_purl",
        Kind::Flag,
        |s| s.verify.require_purl.to_string(),
        "refuse to judge an artifact under the name its signer claims",
    ),
    in_file(
        "verify.recorded_for_compromise",
        Kind::Flag,
        |s| s.verify.recorded_for_compromise.to_string(),
        "whether this server's own record counts for a compromised key",
    ),
    in_file(
        "verify.max_signatures",
        ANY,
        |s| s.verify.limits.max_signatures.to_string(),
        "signatures looked at in one envelope",
    ),
    in_file(
        "verify.max_signature_checks",
        ANY,
        |s| s.verify.limits.max_signature_checks.to_string(),
        "signature checks for one question",
    ),
    in_file(
        "limits.max_body_bytes",
        ANY,
        |s| s.limits.max_body_bytes.to_string(),
        "bytes of one request",
    ),
    in_file(
        "limits.max_json_depth",
        ANY,
        |s| s.limits.max_json_depth.to_string(),
        "levels of nesting in JSON",
    ),
    in_file(
        "limits.max_subjects",
        ANY,
        |s| s.limits.max_subjects.to_string(),
        "subjects of one statement",
    ),
    in_file(
        "limits.max_signatures",
        ANY,
        |s| s.limits.max_signatures.to_string(),
        "signatures of one envelope",
    ),
    in_file(
        "limits.max_list",
        ANY,
        |s| s.limits.max_list.to_string(),
        "entries of one page",
    ),
    in_file(
        "limits.max_attestations_per_artifact",
        ANY,
        |s| s.limits.max_attestations_per_artifact.to_string(),
        "attestations looked at for one artifact",
    ),
    in_file(
        "limits.max_rejudged",
        ANY,
        |s| s.limits.max_rejudged.to_string(),
        "attestations judged anew for one question about a key or an anchor",
    ),
    in_file(
        "limits.max_proof_members",
        ANY,
        |s| s.limits.max_proof_members.to_string(),
        "statements that one proof bundle holds",
    ),
    in_file(
        "tokens.default_life",
        Kind::Duration,
        |s| span(s.tokens.default_life),
        "how long a token lives that was asked for without an end",
    ),
    in_file(
        "tokens.max_life",
        Kind::Duration,
        |s| span(s.tokens.max_life),
        "no token lives longer",
    ),
    in_file(
        "trust.bundle_lifetime",
        Kind::Duration,
        |s| span(s.trust.bundle_lifetime),
        "how long a trust bundle is good for that was asked for without an end",
    ),
    in_file(
        "trust.max_bundle_lifetime",
        Kind::Duration,
        |s| span(s.trust.max_bundle_lifetime),
        "no trust bundle is good for longer: as long, a revocation may be missing from it",
    ),
    in_file(
        "kms.aws.region",
        Kind::Text,
        |s| s.kms.aws.region.clone().unwrap_or_default(),
        "where the keys of AWS KMS are; without it as the tools of AWS find it (AWS_REGION, profile, machine)",
    ),
    in_file(
        "kms.aws.endpoint",
        Kind::Text,
        |s| s.kms.aws.endpoint.clone().unwrap_or_default(),
        "another address than the region's own, such as a VPC endpoint's; https, or http on this machine",
    ),
    in_file(
        "kms.aws.credentials_file",
        Kind::Text,
        |s| path(s.kms.aws.credentials_file.as_ref()),
        "a credentials file of AWS; without it, credentials are found as the tools of AWS find them",
    ),
    in_file(
        "kms.aws.requests_per_second",
        ANY,
        |s| s.kms.aws.requests_per_second.to_string(),
        "how much of the account's quota this instance may use",
    ),
    in_file(
        "kms.aws.request_timeout",
        Kind::Duration,
        |s| span(s.kms.aws.request_timeout),
        "how long one signature by AWS KMS may take, repetitions included; never longer than signing.deadline allows",
    ),
    in_file(
        "kms.aws.connect_timeout",
        Kind::Duration,
        |s| span(s.kms.aws.connect_timeout),
        "how long AWS KMS may take to accept a connection",
    ),
    in_file(
        "doctor.check_timeout",
        Kind::Duration,
        |s| span(s.doctor.check_timeout),
        "how long one check of the doctor may take",
    ),
    in_file(
        "doctor.clock_tolerance",
        Kind::Duration,
        |s| span(s.doctor.clock_tolerance),
        "how far the clock may be behind the last event before the doctor calls it wrong",
    ),
    in_file(
        "doctor.verify_newest",
        ANY,
        |s| s.doctor.verify_newest.to_string(),
        "how many of the newest attestations the doctor verifies",
    ),
];

/// Sections of the file that hold names of the operator's own.
pub const NAMED_SECTIONS: [&str; 2] = ["profiles", "hsm"];

/// Of the first module; where it says nothing, and without one, the default.
fn session(settings: &Settings) -> HsmSession {
    settings
        .hsm
        .modules
        .first()
        .map(|m| m.session.clone())
        .unwrap_or_default()
}

/// Whole days as a number, anything else as what it is.
fn days(overlap: Duration) -> String {
    let seconds = overlap.as_secs();
    if overlap.subsec_nanos() == 0 && seconds.is_multiple_of(86_400) {
        (seconds / 86_400).to_string()
    } else {
        span(overlap)
    }
}

fn activate(on_trust: bool) -> String {
    if on_trust { "on-trust" } else { "manual" }.to_owned()
}

fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds, duration.subsec_millis()) {
        (_, millis) if millis > 0 => format!("{}ms", duration.as_millis()),
        (s, _) if s > 0 && s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
        (s, _) if s > 0 && s.is_multiple_of(3_600) => format!("{}h", s / 3_600),
        (s, _) if s > 0 && s.is_multiple_of(60) => format!("{}m", s / 60),
        (s, _) => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_unique_and_in_the_snake_spelling() {
        let keys: BTreeSet<_> = SETTINGS.iter().map(|s| s.key).collect();
        assert_eq!(keys.len(), SETTINGS.len());
        for key in keys {
            assert_eq!(crate::config::snake(key), key);
        }
    }

    #[test]
    fn spans_are_written_in_their_largest_whole_unit() {
        for (millis, text) in [
            (0, "0s"),
            (250, "250ms"),
            (5_000, "5s"),
            (300_000, "5m"),
            (7_200_000, "2h"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        assert_eq!(days(Duration::from_secs(14 * 86_400)), "14");
        assert_eq!(days(Duration::from_secs(36 * 3_600)), "36h");
    }
}
