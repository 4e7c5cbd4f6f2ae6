//! The product between callers and two tokens: `stella serve` on a home of its
//! own, asked over its socket, with its pool, its breaker and its deadline.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use stella_core::alg::PublicKey;
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeLimits};

use crate::instance::{Instance, stop, workers};
use crate::{Result, Stuck};

/// The keys of the profile, by where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Primary,
    Backup,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Signed {
        id: String,
        by: By,
    },
    /// Acknowledged, to be signed later.
    Recorded {
        id: String,
        why: String,
    },
    /// Nobody has it.
    Nothing(String),
}

/// Whoever is asked for signatures.
pub trait Signing: Sync {
    fn attest(&self, number: u64) -> Answer;

    /// What was signed is what was asked for, by a key of the profile.
    /// Nothing where there is no signature.
    fn is_right(&self, id: &str, number: u64) -> Option<bool>;
}

pub struct Server {
    instance: Instance,
    child: Option<Child>,
    keys: BTreeMap<String, PublicKey>,
}

impl Server {
    /// In a home that has its configuration.
    pub fn start(instance: Instance) -> Result<Self> {
        Ok(Self {
            child: Some(instance.serve(PATIENCE)?),
            instance,
            keys: BTreeMap::new(),
        })
    }

    /// The keys that may sign, once they are there.
    pub fn knows_its_keys(&mut self) -> Result<()> {
        let listed = self.instance.json(&["keys", "list", "--type", "signing"])?;
        for key in listed["keys"].as_array().into_iter().flatten() {
            let (Some(id), Some(pem)) = (key["id"].as_str(), key["publicKey"].as_str()) else {
                return Err(Stuck(format!("a key without id or public key: {key}")));
            };
            let public = PublicKey::from_any(pem.as_bytes()).map_err(|e| Stuck(e.to_string()))?;
            self.keys.insert(id.to_owned(), public);
        }
        Ok(())
    }

    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Its workers for this module. One that is not running cannot be hit.
    pub fn signal_worker(&self, module: &str, signal: Signal) {
        let server = self.child.as_ref().map(Child::id).unwrap_or_default();
        for worker in workers(server, module) {
            let _ = kill_process(worker, signal);
        }
    }

    /// Why standby keys stood in, most often.
    pub fn mostly(&self) -> Result<Option<String>> {
        let (_, log) = self
            .instance
            .raw("GET", "/v1/logs?filter=stood%20in&limit=1000", &[], "")?;
        let log: Value = serde_json::from_slice(&log).map_err(|e| Stuck(e.to_string()))?;
        let mut times: BTreeMap<String, u64> = BTreeMap::new();
        for line in log["lines"].as_array().into_iter().flatten() {
            let message = line["message"].as_str().unwrap_or_default();
            let why = message
                .rsplit_once("signing failed: ")
                .map_or(message, |(_, why)| why);
            *times.entry(without_wait(why)).or_default() += 1;
        }
        // That the drill killed the worker only when there was no other.
        let told = |error: &str| !error.contains("SIGKILL");
        let most = times.iter().max_by_key(|(error, times)| (told(error), **times));
        Ok(most.map(|(error, _)| error.clone()))
    }

    /// How the breaker of the primary stands, by what the server said of it.
    pub fn breaker(&self) -> Result<String> {
        let opened = self.lines("left%20alone%20until")?;
        let closed = self.lines("signing%20is%20back")?;
        Ok(match (opened, closed) {
            (0, _) => "closed".to_owned(),
            (n, m) if n > m => "open".to_owned(),
            (1, _) => "closed again".to_owned(),
            (n, _) => format!("closed again, {n} times"),
        })
    }

    fn lines(&self, filter: &str) -> Result<usize> {
        let (_, log) = self
            .instance
            .raw("GET", &format!("/v1/logs?filter={filter}&limit=1000"), &[], "")?;
        let log: Value = serde_json::from_slice(&log).map_err(|e| Stuck(e.to_string()))?;
        let lines = log["lines"].as_array().into_iter().flatten();
        // The one that stands by may fail too.
        let of_primary = lines.filter(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains("HSM module primary")
        });
        Ok(of_primary.count())
    }

    fn try_attest(&self, number: u64) -> Result<Answer> {
        let request = json!({
            "profiles": [PROFILE],
            "predicateType": "test",
            "predicate": "{}",
            "subjects": [{"name": "test:drill", "digest": {"sha256": digest(number)}}],
        });
        let (status, body) = self
            .instance
            .raw("POST", "/v1/attestations", &[], &request.to_string())?;
        let body: Value = serde_json::from_slice(&body).map_err(|e| Stuck(e.to_string()))?;
        let one = &body["attestations"][0];
        let Some(id) = one["id"].as_str().map(str::to_owned) else {
            return Ok(Answer::Nothing(format!("{status}: {body}")));
        };
        Ok(match (status, one["state"].as_str(), one["keyId"].as_str()) {
            (201, Some("signed"), Some(PRIMARY)) => Answer::Signed { id, by: By::Primary },
            (201, Some("signed"), Some(BACKUP)) => Answer::Signed { id, by: By::Backup },
            (202, Some("recorded"), _) => Answer::Recorded {
                id,
                why: one["lastError"].as_str().unwrap_or_default().to_owned(),
            },
            _ => Answer::Nothing(format!("{status}: {body}")),
        })
    }

    fn try_is_right(&self, id: &str, number: u64) -> Result<Option<bool>> {
        let (status, envelope) =
            self.instance
                .raw("GET", &format!("/v1/attestations/{id}/envelope"), &[], "")?;
        if status != 200 {
            return Ok(None);
        }
        let Ok(envelope) = Envelope::parse(&envelope, &EnvelopeLimits::default()) else {
            return Ok(Some(false));
        };
        let payload: Value = serde_json::from_slice(&envelope.payload).unwrap_or_default();
        let about = payload["subject"][0]["digest"]["sha256"].as_str() == Some(&digest(number));
        let pae = envelope.pae();
        let signed = envelope.signatures.iter().all(|signature| {
            let key = signature.keyid.as_ref().and_then(|id| self.keys.get(id));
            key.is_some_and(|key| key.verify(&pae, &signature.sig).is_ok())
        });
        Ok(Some(about && signed && !envelope.signatures.is_empty()))
    }
}

impl Signing for Server {
    fn attest(&self, number: u64) -> Answer {
        self.try_attest(number)
            .unwrap_or_else(|e| Answer::Nothing(e.to_string()))
    }

    fn is_right(&self, id: &str, number: u64) -> Option<bool> {
        self.try_is_right(id, number).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            let _ = stop(child);
        }
    }
}

fn digest(number: u64) -> String {
    Sha256::of(format!("request {number}").as_bytes()).to_string()
}

/// Each waits for another time.
fn without_wait(error: &str) -> String {
    match error.split_once("its next start is in ") {
        Some((what, _)) => what.trim_end_matches([':', ';', ' ']).to_owned(),
        None => error.to_owned(),
    }
}

pub const PROFILE: &str = "fips";
pub const PRIMARY: &str = "release";
pub const BACKUP: &str = "stand-by";
/// With what has no deadline of its own.
const PATIENCE: Duration = Duration::from_secs(30);
