//! Two tokens with the same key, each behind a worker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stella_core::alg::PublicKey;
use stella_keys::Sign;
use stella_keys::hsm::{Hsm, HsmOptions, KeyReference, Pin, Silent, TokenSelector, VolatilePinMemory};
use stella_keys::pkcs11::Pkcs11;
use stella_testkit::token::{Faults, Kind, Link, Token};

use super::Plan;
use super::failover::{Failover, Primary};
use crate::{Result, Stuck};

pub struct Bed {
    /// Where the primary's keys are, as its own tools reach it.
    pub token: Mutex<Token>,
    pub faults: Faults,
    pub link: Option<Link>,
    /// What the worker loads: a copy, so that it can be broken.
    pub module: PathBuf,
    primary: Arc<Pkcs11>,
    at: KeyReference,
    options: Mutex<HsmOptions>,
    saved: PathBuf,
    failover: Arc<Failover>,
    _backup: (Token, Arc<Pkcs11>),
}

pub const KEY: &str = "release";

impl Bed {
    pub fn new(worker: &Path, plan: &Plan, linked: bool) -> Result<Self> {
        let mut token = Token::soft_hsm("drill");
        token.generate(Kind::EcdsaP256, KEY, "01");
        let saved = token.files().with_extension("saved");
        copy(&token.files(), &saved)?;
        let clone = token.cloned();

        let link = linked.then(|| Link::before(&mut token));
        let faults = Faults::before(&mut token);
        let module = token.copy_of_module("module.so");
        let mut options = options("primary", worker, plan, &module, &token)?;
        // Label alone: a link does not tell the serial number it was made with.
        let at = KeyReference {
            object: Some(KEY.to_owned()),
            ..KeyReference::token(TokenSelector::Token {
                label: token.label().to_owned(),
                serial: Some(clone.slot().serial),
            })
        };
        options.signers = SIGNERS;
        let primary = open(&options);
        let backup = open(&self::options("backup", worker, plan, clone.module(), &clone)?);
        let public = backup.find(&at).map_err(stuck)?.public_key;
        let public = public.ok_or_else(|| Stuck("the token does not show the public key".to_owned()))?;
        let failover = Failover::new(
            Primary {
                find: {
                    let (hsm, at, public) = (Arc::clone(&primary), at.clone(), public.clone());
                    Box::new(move || hsm.key(&at, &public))
                },
                public: public.clone(),
            },
            backup.key(&at, &public).map_err(stuck)?,
        );
        let mut proved = prove(&*primary, &at, &public);
        for _ in 0..TRIES {
            if proved.is_err() {
                std::thread::sleep(PAUSE);
                proved = prove(&*primary, &at, &public);
            }
        }
        proved?;
        Ok(Self {
            token: Mutex::new(token),
            faults,
            link,
            module,
            primary,
            at,
            options: Mutex::new(options),
            saved,
            failover: Arc::new(failover),
            _backup: (clone, backup),
        })
    }

    pub fn failover(&self) -> Arc<Failover> {
        Arc::clone(&self.failover)
    }

    pub fn link(&self) -> Result<&Link> {
        self.link
            .as_ref()
            .ok_or_else(|| Stuck("no link in this bed".to_owned()))
    }

    pub fn token<R>(&self, act: impl FnOnce(&mut Token) -> R) -> R {
        act(&mut self.token.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The primary's worker. One that is not running cannot be hit.
    pub fn signal(&self, signal: Signal) {
        let pid = self.primary.status().pid;
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// As the operator does it when he has mended something.
    pub fn reload(&self) -> Result<()> {
        let pin = self.token(|token| Pin::new(token.pin().as_bytes().to_vec()));
        let options = {
            let mut options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
            options.pin = Some(pin);
            options.clone()
        };
        self.primary.reload(options).map_err(stuck)
    }

    /// Whatever the token refused while it was broken: the operator says that
    /// the PIN is right.
    pub fn force_pin(&self) -> Result<()> {
        let token = self.at.token.clone();
        self.primary.verify_pin(&token, true).map(drop).map_err(stuck)
    }

    /// The token's files as they were in the beginning.
    pub fn restore(&self) -> Result<()> {
        let files = self.token(|token| token.files());
        // The module may be writing there.
        std::fs::rename(&files, files.with_extension("before"))?;
        copy(&self.saved, &files)
    }
}

fn options(name: &str, worker: &Path, plan: &Plan, module: &Path, token: &Token) -> Result<HsmOptions> {
    let mut options = HsmOptions::new(name.parse().map_err(stuck)?, module);
    options.pin = Some(Pin::new(token.pin().as_bytes().to_vec()));
    options.env.extend(token.environment().iter().cloned());
    options.request_timeout = plan.deadline;
    options.start_timeout = plan.deadline * 4;
    options.stop_timeout = plan.deadline;
    options.signers = SIGNERS;
    options.restart_backoff = Duration::from_millis(50);
    options.max_restart_backoff = Duration::from_millis(500);
    options.program = Some(worker.to_owned());
    Ok(options)
}

fn open(options: &HsmOptions) -> Arc<Pkcs11> {
    let pins = Arc::new(VolatilePinMemory::default());
    Arc::new(Pkcs11::new(options.clone(), pins, Arc::new(Silent)))
}

fn prove(hsm: &dyn Hsm, at: &KeyReference, public: &PublicKey) -> Result<()> {
    let key: Arc<dyn Sign> = hsm.key(at, public).map_err(stuck)?;
    stella_keys::sign_verified(&*key, b"drill")
        .map(drop)
        .map_err(stuck)
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    match copied.success() {
        true => Ok(()),
        false => Err(Stuck(format!("{} cannot be copied", from.display()))),
    }
}

fn stuck(e: impl std::fmt::Display) -> Stuck {
    Stuck(e.to_string())
}

const SIGNERS: usize = 4;
/// A machine with other work may be slower than the deadline once.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(600);
