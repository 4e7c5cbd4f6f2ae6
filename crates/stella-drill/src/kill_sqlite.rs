//! `kill -9` at random instants, while several processes sign, add keys and
//! revoke them on one home: first each on its own, then through a server that
//! is killed as well.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chance::Chance;
use crate::instance::{Ended, Instance, stop};
use crate::promises::{Promise, Promises};
use crate::{Report, Result, Stuck};

const NAME: &str = "kill-sqlite";

#[derive(Debug, Clone)]
pub struct Plan {
    /// How many processes are to be killed while they work.
    pub kills: u64,
    pub seed: u64,
    /// Processes at once that sign; one more changes trust.
    pub signers: u64,
}

/// A server lives at most this long.
const SERVER_LIFE: Duration = Duration::from_millis(400);

const SERVER_PATIENCE: Duration = Duration::from_secs(30);

/// The drill ends with an error rather than never.
const LONGEST: Duration = Duration::from_secs(3600);

struct Drill<'a> {
    instance: &'a Instance,
    promises: &'a Promises,
    faults: AtomicU64,
    /// Commands are over within this, mostly; a kill falls anywhere in it.
    fuse: Duration,
    /// When to stop: this many faults.
    enough: u64,
    over: AtomicBool,
    begun: Instant,
    progress: &'a (dyn Fn(u64) + Sync),
}

pub fn run(exe: &Path, plan: &Plan, progress: &(dyn Fn(u64) + Sync)) -> Result<Report> {
    let folder = tempfile::Builder::new().prefix("stella-drill-").tempdir()?;
    let instance = Instance::new(exe, &folder.path().join("home"));
    instance.ok(&["init"])?;
    let promises = Promises::create(&folder.path().join("acknowledged"))?;
    let begun = Instant::now();
    instance.ok(&[
        "attest",
        "create",
        "--type",
        "test",
        "--subject",
        "test:drill",
        "-q",
    ])?;
    let fuse = begun.elapsed() * 2;
    let drill = |enough, faults| Drill {
        fuse,
        instance: &instance,
        promises: &promises,
        faults: AtomicU64::new(faults),
        enough,
        over: AtomicBool::new(false),
        begun: Instant::now(),
        progress,
    };
    let alone = drill(plan.kills / 2, 0).work(plan, false)?;
    let faults = drill(plan.kills, alone).work(plan, true)?;
    let all = promises.into_all()?;
    Ok(Report {
        name: NAME,
        faults,
        acknowledged: u64::try_from(all.len()).unwrap_or(u64::MAX),
        lost: lost(&instance, &all)?,
    })
}

impl Drill<'_> {
    fn work(self, plan: &Plan, served: bool) -> Result<u64> {
        let outcome = thread::scope(|scope| {
            let this = &self;
            let mut hands = Vec::new();
            for n in 0..plan.signers {
                let chance = Chance::new(plan.seed ^ (n << 8) ^ u64::from(served));
                hands.push(scope.spawn(move || this.until_enough(|i, c| this.sign(n, i, c, served), chance)));
            }
            let chance = Chance::new(plan.seed ^ 0xA5A5 ^ u64::from(served));
            hands
                .push(scope.spawn(move || this.until_enough(|i, c| this.change_trust(i, c, served), chance)));
            if served {
                let chance = Chance::new(plan.seed ^ 0x5A5A);
                hands.push(scope.spawn(move || this.until_enough(|_, c| this.kill_a_server(c), chance)));
            }
            hands
                .into_iter()
                .map(|hand| {
                    hand.join()
                        .unwrap_or_else(|_| Err(Stuck("a hand panicked".to_owned())))
                })
                .collect::<Result<Vec<()>>>()
        });
        outcome.map(|_| self.faults.load(Ordering::Relaxed))
    }

    fn until_enough(
        &self,
        mut act: impl FnMut(u64, &mut Chance) -> Result<()>,
        mut chance: Chance,
    ) -> Result<()> {
        let mut round = 0;
        while self.faults.load(Ordering::Relaxed) < self.enough && !self.over.load(Ordering::Relaxed) {
            let done = act(round, &mut chance).and_then(|()| {
                if self.begun.elapsed() > LONGEST {
                    return Err(Stuck(format!("not over after {LONGEST:?}")));
                }
                Ok(())
            });
            if let Err(e) = done {
                self.over.store(true, Ordering::Relaxed);
                return Err(e);
            }
            round += 1;
        }
        Ok(())
    }

    fn sign(&self, hand: u64, round: u64, chance: &mut Chance, served: bool) -> Result<()> {
        let subject = format!("test:drill-{}-{hand}-{round}", u64::from(served));
        let said = self.try_it(
            &["attest", "create", "--type", "test", "--subject", &subject, "-q"],
            chance,
        )?;
        match said {
            Some(id) => self.promises.keep(Promise::Signed(id)),
            None => Ok(()),
        }
    }

    /// A new key comes into the anchor and goes again; each step may be killed.
    fn change_trust(&self, round: u64, chance: &mut Chance, served: bool) -> Result<()> {
        let key = format!("drill-{}-{round}", u64::from(served));
        let generate = [
            "keys",
            "generate",
            "--standby",
            "--profile",
            "default",
            "--key-id",
        ];
        if self.try_it(&[&generate[..], &[&key]].concat(), chance)?.is_none() {
            return Ok(());
        }
        self.promises.keep(Promise::KeyEntered(key.clone()))?;
        let add = ["anchor", "add-key", "--anchor-id", "ALL", "--key-id", &key];
        if self.try_it(&add, chance)?.is_none() {
            return Ok(());
        }
        self.promises.keep(Promise::KeyAdded(key.clone()))?;
        let revoke = ["anchor", "revoke-key", "--anchor-id", "ALL", "--key-id", &key];
        let why = ["--reason", "annual-rotation", "--yes"];
        if self.try_it(&[&revoke[..], &why].concat(), chance)?.is_some() {
            self.promises.keep(Promise::KeyRevoked(key))?;
        }
        Ok(())
    }

    /// What it said if it was acknowledged.
    fn try_it(&self, arguments: &[&str], chance: &mut Chance) -> Result<Option<String>> {
        let fuse = chance.hits(1, 3).then(|| chance.within(self.fuse));
        Ok(match self.instance.with_fuse(arguments, fuse)? {
            Ended::Acknowledged(said) => Some(said),
            Ended::Refused(_) => None,
            Ended::Killed => {
                self.fault();
                None
            }
        })
    }

    /// One that cannot start for those who work alone in the home tries again.
    fn kill_a_server(&self, chance: &mut Chance) -> Result<()> {
        let Ok(mut server) = self.instance.serve(SERVER_PATIENCE) else {
            return Ok(());
        };
        thread::sleep(chance.within(SERVER_LIFE));
        server.kill()?;
        server.wait()?;
        self.fault();
        Ok(())
    }

    fn fault(&self) {
        (self.progress)(self.faults.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

/// Everything that was promised and is not so, and everything that is called
/// signed and does not verify.
pub fn lost(instance: &Instance, promises: &[Promise]) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    let report = instance.json(&["db", "verify"])?;
    if report["ok"] != true {
        lost.push(format!("db verify: {report}"));
    }
    let server = instance.serve(SERVER_PATIENCE)?;
    let looked = look(instance, promises, &mut lost);
    stop(server)?;
    looked.map(|()| lost)
}

fn look(instance: &Instance, promises: &[Promise], lost: &mut Vec<String>) -> Result<()> {
    for id in attestations(instance)? {
        let attestation = instance.json(&["attest", "show", &id])?;
        if attestation["state"] != "signed" {
            continue;
        }
        let report = instance.json(&["verify", "attestation", "--attestation", &id])?;
        if report["verdict"] != "PASS" {
            lost.push(format!("{id} says signed and is {report}"));
        }
    }
    let keys = instance.json(&["keys", "list"])?;
    let anchors = instance.json(&["anchor", "list"])?;
    for promise in promises {
        let kept = match promise {
            Promise::Signed(id) | Promise::Acknowledged { id, .. } => {
                instance.json(&["attest", "show", id])?["state"] == "signed"
            }
            Promise::KeyEntered(key) => mentions(&keys["keys"], "id", key),
            Promise::KeyAdded(key) => in_history(&anchors, key, |_| true),
            Promise::KeyRevoked(key) => in_history(&anchors, key, |entry| !entry["revokedAt"].is_null()),
        };
        if !kept {
            lost.push(format!("{promise:?}"));
        }
    }
    Ok(())
}

fn attestations(instance: &Instance) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = match cursor.as_str() {
            "" => instance.json(&["attest", "list", "--limit", "500"])?,
            next => instance.json(&["attest", "list", "--limit", "500", "--cursor", next])?,
        };
        let rows = page["attestations"].as_array().cloned().unwrap_or_default();
        ids.extend(rows.iter().filter_map(|row| Some(row["id"].as_str()?.to_owned())));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return Ok(ids),
        }
    }
}

fn mentions(rows: &Value, field: &str, value: &str) -> bool {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().any(|row| row[field] == value)
}

fn in_history(anchors: &Value, key: &str, holds: impl Fn(&Value) -> bool) -> bool {
    let anchors = anchors["anchors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    anchors.iter().any(|anchor| {
        let history = anchor["keyHistory"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        history.iter().any(|entry| entry["keyid"] == key && holds(entry))
    })
}
