//! Two tokens, each behind a module of one server; the key on the second
//! stands by for the one on the first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use stella_testkit::token::{Faults, Kind, Link, Token};

use super::Plan;
use super::server::{Answer, BACKUP, By, PRIMARY, PROFILE, Server, Signing};
use crate::instance::Instance;
use crate::{Result, Stuck};

pub struct Bed {
    pub server: Server,
    /// Where the primary's keys are, as its own tools reach it.
    pub token: Mutex<Token>,
    pub faults: Faults,
    pub link: Option<Link>,
    /// What the worker loads: a copy, so that it can be broken.
    pub module: PathBuf,
    saved: PathBuf,
    folder: tempfile::TempDir,
    /// Where the standby key is.
    pub backup: Token,
}

pub const KEY: &str = PRIMARY;

impl Bed {
    pub fn new(exe: &Path, plan: &Plan, linked: bool) -> Result<Self> {
        let mut token = Token::soft_hsm("drill");
        token.generate(Kind::EcdsaP256, KEY, "01");
        let saved = token.files().with_extension("saved");
        copy(&token.files(), &saved)?;
        let serial = token.slot().serial;
        let backup = Token::soft_hsm("spare");

        let link = linked.then(|| Link::before(&mut token));
        let faults = Faults::before(&mut token);
        let module = token.copy_of_module("module.so");

        let folder = tempfile::tempdir()?;
        let instance = Instance::new(exe, &folder.path().join("home"));
        instance.ok(&["init", "--no-key"])?;
        let modules = [
            ("primary", &token, &*module),
            ("backup", &backup, backup.module()),
        ];
        for (name, token, _) in modules {
            std::fs::write(pin_file(folder.path(), name), token.pin())?;
        }
        let settings = settings(plan, modules, folder.path());
        std::fs::write(instance.home().join("signer.yaml"), settings.to_string())?;
        let mut server = Server::start(instance)?;
        prepare(server.instance(), &serial)?;
        server.knows_its_keys()?;
        Ok(Self {
            server,
            token: Mutex::new(token),
            faults,
            link,
            module,
            saved,
            folder,
            backup,
        })
    }

    pub fn link(&self) -> Result<&Link> {
        self.link
            .as_ref()
            .ok_or_else(|| Stuck("no link in this bed".to_owned()))
    }

    pub fn token<R>(&self, act: impl FnOnce(&mut Token) -> R) -> R {
        act(&mut self.token.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The primary's worker.
    pub fn signal(&self, signal: Signal) {
        self.server.signal_worker("primary", signal);
    }

    /// As the operator does it when he has mended something. Whether it helped
    /// is seen by what signs then.
    pub fn reload(&self) -> Result<()> {
        let pin = self.token(|token| token.pin().to_owned());
        std::fs::write(pin_file(self.folder.path(), "primary"), pin)?;
        let reconnect = ["crypto", "hsm", "reconnect", "--module", "primary"];
        self.server.instance().with_fuse(&reconnect, None).map(drop)
    }

    /// Whatever the token refused while it was broken: the operator says that
    /// the PIN is right.
    pub fn force_pin(&self) -> Result<()> {
        let verify = [
            "crypto", "hsm", "auth", "verify", "--force", "--module", "primary",
        ];
        self.server.instance().ok(&verify).map(drop)
    }

    /// The token's files as they were in the beginning.
    pub fn restore(&self) -> Result<()> {
        let files = self.token(|token| token.files());
        // The module may be writing there.
        std::fs::rename(&files, files.with_extension("before"))?;
        copy(&self.saved, &files)
    }

    /// Waits for it by asking, beside those that are counted.
    pub fn until_signed_by(&self, key: By) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Answer::Signed { by, .. } = self.server.attest(u64::MAX)
                && by == key
            {
                return Ok(());
            }
            std::thread::sleep(STEP);
        }
        Err(Stuck(format!("{key:?} does not sign")))
    }
}

fn pin_file(folder: &Path, module: &str) -> PathBuf {
    folder.join(format!("pin-{module}"))
}

fn settings(plan: &Plan, modules: [(&str, &Token, &Path); 2], folder: &Path) -> Value {
    let ms = |duration: Duration| format!("{}ms", duration.as_millis());
    let modules: serde_json::Map<_, _> = modules
        .into_iter()
        .map(|(name, token, library)| {
            let environment: serde_json::Map<_, _> = token
                .environment()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            let module = json!({
                "libraryPath": library,
                "pinFile": pin_file(folder, name),
                "env": environment,
                "startTimeout": ms(plan.deadline * 4),
                "stopTimeout": ms(plan.deadline),
                "restartBackoff": {"min": "50ms", "max": "500ms"},
            });
            (name.to_owned(), module)
        })
        .collect();
    json!({
        "signer": {"profiles": {PROFILE: {
            "algorithm": "ecdsa-p256",
            "keyStore": "hsm://pkcs11/token/drill?module=primary",
            "backups": [{"key": BACKUP}],
        }}},
        "signing": {
            "deadline": ms(plan.deadline),
            "retryFirst": "200ms",
            "retryMax": "1s",
            "breaker": {"firstPause": "100ms", "maxPause": "500ms", "probeInterval": "100ms"},
        },
        "server": {"queueInterval": "200ms"},
        "hsm": {"modules": modules},
    })
}

/// Both keys, and an anchor that accepts both.
fn prepare(instance: &Instance, serial: &str) -> Result<()> {
    let at = format!("hsm://pkcs11/token/drill?module=primary&serial={serial}&object={KEY}");
    let import = [
        "keys",
        "import",
        "--profile",
        PROFILE,
        "--key-id",
        PRIMARY,
        "--key-store",
        &at,
    ];
    let mut imported = instance.ok(&import);
    for _ in 0..TRIES {
        // What is at the other end of a link may take its time once.
        if imported.is_err() {
            std::thread::sleep(PAUSE);
            imported = instance.ok(&import);
        }
    }
    imported?;
    let spare = "hsm://pkcs11/token/spare?module=backup";
    let generate = [
        "keys",
        "generate",
        "--profile",
        PROFILE,
        "--key-id",
        BACKUP,
        "--standby",
    ];
    instance.ok(&[&generate[..], &["--key-store", spare]].concat())?;
    let anchors = instance.json(&["anchor", "list"])?;
    let anchor = anchors["anchors"][0]["trustAnchorId"]
        .as_str()
        .unwrap_or_default();
    for key in [PRIMARY, BACKUP] {
        instance.ok(&["anchor", "add-key", "--anchor-id", anchor, "--key-id", key])?;
    }
    Ok(())
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    match copied.success() {
        true => Ok(()),
        false => Err(Stuck(format!("{} cannot be copied", from.display()))),
    }
}

/// A machine with other work may be slower than the deadline once.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(2);
