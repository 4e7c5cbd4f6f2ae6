//! `kill -9` at random instants of the servers of several homes that share one
//! PostgreSQL, of the workers that hold their tokens, and of PostgreSQL itself,
//! while callers sign and record all the time, repeat what got no answer, and
//! keep every answer they had.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use stella_core::digest::Sha256;
use stella_testkit::postgres::Postgres;
use stella_testkit::token::Token;

use crate::chance::Chance;
use crate::instance::{Instance, stop, workers};
use crate::promises::{Promise, Promises};
use crate::{Report, Result, Stuck};

const NAME: &str = "kill-postgres";

#[derive(Debug, Clone)]
pub struct Plan {
    /// How many servers and workers are to be killed while they work.
    pub kills: u64,
    /// How often the database is, beside those.
    pub crashes: u64,
    pub seed: u64,
    pub replicas: u64,
    /// Those that ask at once.
    pub callers: u64,
    /// Whether half of them sign on a token, in workers that are killed too.
    /// SoftHSM writes its files at every login and not in one piece: after
    /// enough kills it refuses the right PIN.
    pub token: bool,
}

/// A server lives at most this long.
const SERVER_LIFE: Duration = Duration::from_millis(1500);

/// For whatever waits for a server or the database to be back.
const PATIENCE: Duration = Duration::from_secs(60);

const AGAIN: Duration = Duration::from_millis(20);

/// The drill ends with an error rather than never.
const LONGEST: Duration = Duration::from_secs(3600);

/// The homes and what they share.
pub struct Bed {
    postgres: Mutex<Postgres>,
    database: String,
    replicas: Vec<Instance>,
    token: Option<Token>,
    /// A clone of it with its key, as whoever has an HSM keeps one.
    clone: Option<Token>,
    folder: tempfile::TempDir,
}

pub fn run(exe: &Path, plan: &Plan, progress: &(dyn Fn(u64) + Sync)) -> Result<Report> {
    let bed = Bed::make(exe, plan)?;
    let drill = Drill {
        bed: &bed,
        plan,
        faults: AtomicU64::new(0),
        over: AtomicBool::new(false),
        begun: Instant::now(),
        lies: Mutex::default(),
        progress,
    };
    let promises = drill.work()?;
    let faults = drill.faults.load(Ordering::Relaxed);
    let mut lost = drill.lies.into_inner().unwrap_or_else(PoisonError::into_inner);
    lost.extend(bed.lost(&promises)?);
    Ok(Report {
        name: NAME,
        faults,
        acknowledged: u64::try_from(promises.len()).unwrap_or(u64::MAX),
        lost,
    })
}

impl Bed {
    pub fn make(exe: &Path, plan: &Plan) -> Result<Self> {
        let postgres = Postgres::start();
        let database = postgres.database();
        let role = "CREATE ROLE stella LOGIN";
        postgres.psql(&database, "postgres", role).map_err(Stuck)?;
        let folder = tempfile::Builder::new().prefix("stella-drill-").tempdir()?;
        let token = plan.token.then(|| Token::soft_hsm("drill"));
        let pin = folder.path().join("pin");
        if let Some(token) = &token {
            std::fs::write(&pin, token.pin())?;
        }
        let at = |n: u64| Instance::new(exe, &folder.path().join(format!("home-{n}")));

        let (owner, url) = (postgres.url(&database), postgres.url_as("stella", &database));
        at(0).ok(&["db", "migrate", "--store", &owner, "--service", "stella"])?;
        at(0).ok(&["init", "--store", &url])?;
        let sealing = at(0).home().join("sealing.key").display().to_string();
        let replicas: Vec<_> = (0..plan.replicas.max(1)).map(at).collect();
        for (n, replica) in replicas.iter().enumerate() {
            if n > 0 {
                replica.ok(&["init", "--store", &url, "--sealing-key", &sealing])?;
            }
            let mut settings = settings(&url, &format!("replica-{n}"));
            if let Some(token) = &token {
                on_token(&mut settings, token, &pin);
            }
            std::fs::write(replica.home().join("signer.yaml"), settings.to_string())?;
        }
        let first = at(0).serve(PATIENCE)?;
        at(0).ok(&["keys", "generate", "--profile", "fips", "--key-id", "release"])?;
        let anchors = at(0).json(&["anchor", "list"])?;
        let anchor = anchors["anchors"][0]["trustAnchorId"]
            .as_str()
            .unwrap_or_default();
        at(0).ok(&["anchor", "add-key", "--anchor-id", anchor, "--key-id", "release"])?;
        stop(first)?;
        let clone = token.as_ref().map(Token::cloned);
        Ok(Self {
            postgres: Mutex::new(postgres),
            database,
            replicas,
            token,
            clone,
            folder,
        })
    }

    /// Everything that was acknowledged and is not so, and every lie.
    pub fn lost(&self, promises: &[Promise]) -> Result<Vec<String>> {
        let servers: Result<Vec<_>> = self.replicas.iter().map(|r| r.serve(PATIENCE)).collect();
        let servers = servers?;
        let mut lost = Vec::new();
        let looked = self.look(promises, &mut lost);
        for server in servers {
            stop(server)?;
        }
        looked.map(|()| lost)
    }

    fn look(&self, promises: &[Promise], lost: &mut Vec<String>) -> Result<()> {
        let any = &self.replicas[0];
        self.mend_the_token();
        if let Err(why) = self.drain(any) {
            lost.push(why.0);
        }
        let report = any.json(&["db", "verify"])?;
        if report["ok"] != true {
            lost.push(format!("db verify: {report}"));
        }
        let twice =
            "SELECT count(*) FROM (SELECT 1 FROM signer.attestations WHERE predicate_type LIKE '%test%'
                     GROUP BY pae, profile HAVING count(*) > 1) AS twice";
        let twice = self.sql(twice)?;
        if twice != "0" {
            lost.push(format!("{twice} requests were recorded more than once"));
        }
        // What nobody was told of may be there; what says signed verifies.
        let mut good = BTreeSet::new();
        let mut path = "/v1/attestations?limit=500&state=signed".to_owned();
        loop {
            let (_, page) = any.ask("GET", &path, &[], "")?;
            for row in page["attestations"].as_array().into_iter().flatten() {
                let id = row["id"].as_str().unwrap_or_default().to_owned();
                let asked = json!({ "attestation": id }).to_string();
                let (_, report) = any.ask("POST", "/v1/verify/attestation", &[], &asked)?;
                if report["verdict"] == "PASS" {
                    good.insert(id);
                } else {
                    lost.push(format!("{id} says signed: {report}"));
                }
            }
            match page["nextCursor"].as_str() {
                Some(next) => path = format!("/v1/attestations?limit=500&state=signed&cursor={next}"),
                None => break,
            }
        }
        for promise in promises {
            if let Promise::Acknowledged { key, id } = promise
                && !good.contains(id)
            {
                let (status, row) = any.ask("GET", &format!("/v1/attestations/{id}"), &[], "")?;
                lost.push(match status {
                    200 => format!("{id} ({key}) is there and not signed: {row}"),
                    _ => format!("{id} ({key}) is gone: {status} {row}"),
                });
            }
        }
        Ok(())
    }

    /// The operator's part. A token whose files are written by a worker that
    /// is killed may be gone, and is restored from its clone; or it may refuse
    /// the PIN to another one, and then none is tried again before somebody
    /// says so.
    fn mend_the_token(&self) {
        let (Some(token), Some(clone)) = (&self.token, &self.clone) else {
            return;
        };
        if !token.is_there() {
            token.restore_from(clone);
        }
        let verify = [
            "crypto", "hsm", "auth", "verify", "--force", "--module", "primary",
        ];
        for replica in &self.replicas {
            // One that is being killed cannot be asked; the next one is.
            let _ = replica.with_fuse(&verify, None);
        }
    }

    /// The queue signs what is left.
    fn drain(&self, any: &Instance) -> Result<()> {
        let begun = Instant::now();
        loop {
            let (_, status) = any.ask("GET", "/v1/status", &[], "")?;
            let unsigned = ["recorded", "failed", "held"].map(|state| status[state].as_u64());
            if unsigned == [Some(0); 3] {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Stuck(format!("the queue does not drain: {status}")));
            }
            thread::sleep(AGAIN);
        }
    }

    fn sql(&self, sql: &str) -> Result<String> {
        let postgres = self.postgres.lock().unwrap_or_else(PoisonError::into_inner);
        postgres.psql(&self.database, "postgres", sql).map_err(Stuck)
    }
}

fn on_token(settings: &mut Value, token: &Token, pin: &Path) {
    let environment: serde_json::Map<_, _> = token
        .environment()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    settings["signer"]["profiles"]["fips"]["keyStore"] = "hsm://pkcs11/token/drill?module=primary".into();
    settings["hsm"] = json!({"modules": {"primary": {
        "libraryPath": token.module(),
        "pinFile": pin,
        "env": environment,
        "restartBackoff": {"min": "50ms", "max": "500ms"},
        // Workers are killed over their login all the time, and this token
        // never locks.
        "unansweredLogins": 1_000_000,
    }}});
}

fn settings(url: &str, replica: &str) -> Value {
    json!({
        "store": {"url": url},
        "signer": {"profiles": {"fips": {"algorithm": "ecdsa-p256", "keyStore": "software://"}}},
        "signing": {
            "deadline": "2s",
            "retryFirst": "200ms",
            "retryMax": "1s",
            "claimLifetime": "4s",
            "breaker": {"firstPause": "100ms", "maxPause": "500ms", "probeInterval": "100ms"},
        },
        "server": {"replica": replica, "queueInterval": "200ms"},
    })
}

struct Drill<'a> {
    bed: &'a Bed,
    plan: &'a Plan,
    faults: AtomicU64,
    over: AtomicBool,
    begun: Instant,
    lies: Mutex<Vec<String>>,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Drill<'_> {
    fn work(&self) -> Result<Vec<Promise>> {
        let plan = self.plan;
        thread::scope(|scope| {
            let mut killing = Vec::new();
            for (n, replica) in (0_u64..).zip(&self.bed.replicas) {
                let chance = Chance::new(plan.seed ^ (n << 16));
                killing.push(scope.spawn(move || self.ended(self.kill(replica, chance))));
            }
            killing.push(scope.spawn(|| self.ended(self.crash())));
            let calling: Vec<_> = (0..plan.callers)
                .map(|n| scope.spawn(move || self.ended(self.call(n))))
                .collect();
            let panicked = |_| Stuck("a hand panicked".to_owned());
            let killed: Vec<_> = killing
                .into_iter()
                .map(|hand| hand.join().map_err(panicked))
                .collect();
            self.over.store(true, Ordering::SeqCst);
            let mut promises = Vec::new();
            for caller in calling {
                promises.extend(caller.join().map_err(panicked)??);
            }
            killed.into_iter().try_for_each(|hand| hand?)?;
            Ok(promises)
        })
    }

    /// One that cannot go on ends the others.
    fn ended<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.over.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn goes_on(&self) -> Result<bool> {
        if self.begun.elapsed() > LONGEST {
            return Err(Stuck(format!("not over after {LONGEST:?}")));
        }
        Ok(!self.over.load(Ordering::SeqCst))
    }

    fn wanted(&self) -> u64 {
        self.plan.kills + self.plan.crashes
    }

    /// A server again and again; every third time one of its workers first.
    fn kill(&self, replica: &Instance, mut chance: Chance) -> Result<()> {
        while self.goes_on()? && self.faults.load(Ordering::SeqCst) < self.wanted() {
            // While the database is away, none starts.
            let Ok(mut server) = replica.serve(PATIENCE) else {
                thread::sleep(AGAIN);
                continue;
            };
            if chance.hits(1, 3) {
                thread::sleep(chance.within(SERVER_LIFE));
                if let Some(worker) = workers(server.id(), "primary").first() {
                    // It may have ended by itself just now.
                    let _ = kill_process(*worker, Signal::KILL);
                    self.fault();
                }
            }
            thread::sleep(chance.within(SERVER_LIFE));
            server.kill()?;
            server.wait()?;
            self.fault();
        }
        Ok(())
    }

    /// Spread evenly over the kills.
    fn crash(&self) -> Result<()> {
        let every = self.plan.kills / (self.plan.crashes + 1);
        for n in 1..=self.plan.crashes {
            while self.faults.load(Ordering::SeqCst) < n * (every + 1) {
                if !self.goes_on()? {
                    return Ok(());
                }
                thread::sleep(AGAIN);
            }
            self.bed
                .postgres
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .crash();
            self.fault();
            self.bed.mend_the_token();
        }
        Ok(())
    }

    /// One request after the other, each repeated with its key, anywhere,
    /// until somebody has answered.
    fn call(&self, caller: u64) -> Result<Vec<Promise>> {
        let promises = Promises::create(&self.bed.folder.path().join(format!("acknowledged-{caller}")))?;
        let mut chance = Chance::new(self.plan.seed ^ (caller << 32));
        let mut number = 0_u64;
        while self.goes_on()? {
            let key = format!("caller-{caller}-{number}");
            number += 1;
            let Some(id) = self.until_answered(&key, &mut chance)? else {
                break;
            };
            promises.keep(Promise::Acknowledged {
                key: key.clone(),
                id: id.clone(),
            })?;
            if chance.hits(1, 4)
                && let Some(again) = self.until_answered(&key, &mut chance)?
                && again != id
            {
                self.lie(format!("{key} was answered with {id} and then with {again}"));
            }
        }
        promises.into_all()
    }

    fn until_answered(&self, key: &str, chance: &mut Chance) -> Result<Option<String>> {
        // What it is follows from the key, however often it is asked for.
        let digest = Sha256::of(key.as_bytes());
        let profile = if digest.as_bytes()[0] < 128 {
            "fips"
        } else {
            "default"
        };
        let request = json!({
            "profiles": [profile],
            "predicateType": "test",
            "predicate": "{}",
            "subjects": [{"name": "test:drill", "digest": {"sha256": digest.to_hex()}}],
        });
        let request = request.to_string();
        while self.goes_on()? {
            let wait = if chance.hits(1, 3) { "recorded" } else { "signed" };
            let replica = &self.bed.replicas[chance.below(self.bed.replicas.len())];
            let path = format!("/v1/attestations?wait={wait}");
            let answer = replica.ask("POST", &path, &[("Idempotency-Key", key)], &request);
            if let Ok((status, body)) = answer {
                match (status, body["id"].as_str()) {
                    (200..=202, Some(id)) => return Ok(Some(id.to_owned())),
                    (429 | 500.., _) => {}
                    _ => self.lie(format!("{key} was refused: {status} {body}")),
                }
            }
            thread::sleep(chance.within(AGAIN));
        }
        Ok(None)
    }

    fn lie(&self, what: String) {
        self.lies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(what);
    }

    fn fault(&self) {
        (self.progress)(self.faults.fetch_add(1, Ordering::SeqCst) + 1);
    }
}
