//! Callers that have statements signed all the time, one that has an old one
//! verified, and what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bed::Bed;
use crate::hands::{Hand, while_they_work};
use crate::{Result, Stuck};

pub struct Load<'a> {
    bed: &'a Bed,
    callers: usize,
    known: String,
    over: AtomicBool,
    faulty: AtomicBool,
    number: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
pub struct Seen {
    /// Ids of what was answered as signed or recorded.
    pub acknowledged: Vec<String>,
    pub signed: u64,
    /// How often each was told while the fault lasted.
    pub errors: BTreeMap<String, u64>,
    pub verify_errors: BTreeMap<String, u64>,
    /// Verdicts about what is known to be good that were no PASS.
    pub lies: Vec<String>,
    pub longest: Duration,
    /// Of each server: when a request began that it signed, and when it did.
    last: BTreeMap<usize, (Instant, Instant)>,
}

/// After an answer that was none.
const PAUSE: Duration = Duration::from_millis(20);

impl<'a> Load<'a> {
    pub fn new(bed: &'a Bed, callers: usize) -> Result<Self> {
        let first = bed.servers.first().ok_or_else(|| Stuck("no server".to_owned()))?;
        let (status, made) = first
            .instance
            .ask("POST", "/v1/attestations", &[], &request(u64::MAX))?;
        let known = made["id"].as_str().filter(|_| status == 201);
        let known = known.ok_or_else(|| Stuck(format!("the first attestation: {status} {made}")))?;
        Ok(Self {
            bed,
            callers: callers.max(bed.servers.len()),
            known: known.to_owned(),
            over: AtomicBool::new(false),
            faulty: AtomicBool::new(false),
            number: AtomicU64::new(0),
            seen: Mutex::default(),
        })
    }

    pub fn while_it_runs<R>(&self, act: impl FnOnce(&Self) -> Result<R>) -> Result<R> {
        let call = |n| Box::new(move || self.call(n)) as Hand<'_>;
        let mut hands: Vec<_> = (0..self.callers).map(call).collect();
        hands.push(Box::new(|| self.verify()));
        while_they_work(&self.over, hands, || act(self))
    }

    pub fn fault_begins(&self) {
        self.faulty.store(true, Ordering::SeqCst);
    }

    pub fn fault_ends(&self) {
        self.faulty.store(false, Ordering::SeqCst);
    }

    /// By the fault that lasts.
    pub fn was_refused(&self) -> bool {
        !self.lock().errors.is_empty()
    }

    pub fn signed(&self) -> u64 {
        self.lock().signed
    }

    /// How long after `since` the last of the servers signed a request that
    /// came later, once all have.
    pub fn all_signed_since(&self, since: Instant) -> Option<Duration> {
        let seen = self.lock();
        let mut longest = Duration::ZERO;
        for server in 0..self.bed.servers.len() {
            let (began, signed) = *seen.last.get(&server)?;
            if began < since {
                return None;
            }
            longest = longest.max(signed.saturating_duration_since(since));
        }
        Some(longest)
    }

    pub fn into_seen(self) -> Seen {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Repeats with its key what got no answer, as a client does.
    fn call(&self, hand: usize) {
        let server = hand % self.bed.servers.len();
        let Some(instance) = self.bed.servers.get(server).map(|s| &s.instance) else {
            return;
        };
        while !self.over.load(Ordering::SeqCst) {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let (body, key) = (request(number), format!("drill-{number}"));
            loop {
                let began = Instant::now();
                let faulty = self.faulty.load(Ordering::SeqCst);
                let answer = instance.ask("POST", "/v1/attestations", &[("Idempotency-Key", &key)], &body);
                let ended = Instant::now();
                let error = {
                    let mut seen = self.lock();
                    seen.longest = seen.longest.max(ended - began);
                    match &answer {
                        // 200: it took effect, and the answer before was lost.
                        Ok((200..=202, made)) => {
                            let attestation = &made["attestations"][0];
                            seen.acknowledged
                                .push(attestation["id"].as_str().unwrap_or_default().to_owned());
                            if attestation["state"] == "signed" {
                                seen.signed += 1;
                                seen.last.insert(server, (began, ended));
                                None
                            } else {
                                Some(told(202, attestation, "lastError"))
                            }
                        }
                        Ok((status, problem)) => Some(told(*status, problem, "detail")),
                        Err(e) => Some(format!("no answer: {e}")),
                    }
                };
                let Some(error) = error else { break };
                if faulty {
                    *self.lock().errors.entry(error).or_default() += 1;
                }
                if matches!(answer, Ok((200..=202, _))) || self.over.load(Ordering::SeqCst) {
                    break;
                }
                thread::sleep(PAUSE);
            }
        }
    }

    fn verify(&self) {
        let asked = json!({ "attestation": self.known }).to_string();
        let servers = self.bed.servers.iter().cycle();
        for server in servers {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let faulty = self.faulty.load(Ordering::SeqCst);
            let answer = server.instance.ask("POST", "/v1/verify/attestation", &[], &asked);
            let mut seen = self.lock();
            match answer {
                Ok((200, report)) if report["verdict"] == "PASS" => {}
                Ok((200, report)) => seen.lies.push(format!("{} is judged {report}", self.known)),
                Ok((status, problem)) if faulty => {
                    let error = told(status, &problem, "detail");
                    *seen.verify_errors.entry(error).or_default() += 1;
                }
                Err(e) if faulty => {
                    *seen.verify_errors.entry(format!("no answer: {e}")).or_default() += 1;
                }
                Ok(_) | Err(_) => {}
            }
            drop(seen);
            thread::sleep(PAUSE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a test statement is about.
fn request(number: u64) -> String {
    json!({
        "predicateType": "test",
        "subjects": [{
            "name": format!("test:drill-{number}"),
            "digest": {"sha256": stella_core::digest::Sha256::of(&number.to_be_bytes()).to_hex()},
        }],
        "predicate": json!({"ballast": "x".repeat(2_000)}).to_string(),
    })
    .to_string()
}

fn told(status: u16, answer: &Value, field: &str) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    format!("{status} {} {}", text("code"), text(field)).replace("  ", " ")
}

pub fn most(errors: &BTreeMap<String, u64>) -> Option<String> {
    let most = errors.iter().max_by_key(|(_, times)| **times);
    most.map(|(error, _)| error.clone())
}
