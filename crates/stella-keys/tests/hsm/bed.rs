//! SoftHSM tokens in a folder of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use stella_core::alg::Algorithm;

use stella_keys::hsm::{
    HsmEvent, HsmEvents, HsmOptions, ModuleName, Pin, PinMemory, TokenSelector, VolatilePinMemory,
};
use stella_keys::pkcs11::Pkcs11;
use tempfile::TempDir;

pub const PIN: &str = "1234-right";

pub struct SoftHsm {
    folder: TempDir,
    pub pins: Arc<VolatilePinMemory>,
    pub log: Arc<Log>,
}

impl SoftHsm {
    pub fn new() -> Self {
        assert!(
            Path::new(LIBRARY).exists(),
            "{LIBRARY} is not there: apt-get install softhsm2"
        );
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("tokens")).expect("folder");
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            folder.path().join("tokens").display()
        );
        fs::write(folder.path().join("softhsm2.conf"), configuration).expect("configuration");
        Self {
            folder,
            pins: Arc::default(),
            log: Arc::default(),
        }
    }

    pub fn with_token(label: &str) -> Self {
        let hsm = Self::new();
        hsm.add_token(label, PIN);
        hsm
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    pub fn add_token(&self, label: &str, pin: &str) {
        self.util(&[
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            pin,
            "--so-pin",
            "so-pin",
        ]);
    }

    pub fn util(&self, arguments: &[&str]) {
        let done = Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
            .output()
            .expect("softhsm2-util runs");
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }

    /// `pkcs11-tool`, logged in to the token `stella`.
    pub fn tool(&self, arguments: &[&str]) {
        let done = Command::new("pkcs11-tool")
            .args([
                "--module",
                LIBRARY,
                "--token-label",
                "stella",
                "--login",
                "--pin",
                PIN,
            ])
            .args(arguments)
            .env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"))
            .output()
            .expect("pkcs11-tool runs: apt-get install opensc");
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }

    /// A program that is no worker.
    pub fn script(&self, commands: &str) -> PathBuf {
        let path = self.folder.path().join("script");
        fs::write(&path, format!("#!/bin/sh\n{commands}\n")).expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("permissions");
        path
    }

    pub fn options(&self) -> HsmOptions {
        let mut options = HsmOptions::new(name("primary"), LIBRARY);
        options.pin = Some(pin(PIN));
        let configuration = self.folder.path().join("softhsm2.conf").display().to_string();
        options.env.insert("SOFTHSM2_CONF".to_owned(), configuration);
        options.program = Some(env!("CARGO_BIN_EXE_stella-keys-worker").into());
        options
    }

    pub fn start(&self) -> Pkcs11 {
        self.start_with(self.options())
    }

    pub fn start_with(&self, options: HsmOptions) -> Pkcs11 {
        let pins: Arc<dyn PinMemory> = self.pins.clone();
        let log: Arc<dyn HsmEvents> = self.log.clone();
        Pkcs11::new(options, pins, log)
    }
}

/// Every event, for a test to look at.
#[derive(Default)]
pub struct Log(Mutex<Vec<HsmEvent>>);

impl Log {
    pub fn count(&self, kind: &str) -> usize {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event.kind == kind).count()
    }
}

impl HsmEvents for Log {
    fn event(&self, module: &ModuleName, event: &HsmEvent) {
        eprintln!("{module} {:?} {} {}", event.severity, event.kind, event.text);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event.clone());
    }
}

pub fn name(text: &str) -> ModuleName {
    text.parse().expect("name")
}

pub fn pin(text: &str) -> Pin {
    Pin::new(text.as_bytes().to_vec())
}

pub fn token(label: &str) -> TokenSelector {
    TokenSelector::Token {
        label: label.to_owned(),
        serial: None,
    }
}

pub fn p256() -> Algorithm {
    "p256".parse().expect("algorithm")
}

pub fn signal(pid: u32, name: &str) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid");
    let signal = match name {
        "KILL" => rustix::process::Signal::KILL,
        "ABRT" => rustix::process::Signal::ABORT,
        "STOP" => rustix::process::Signal::STOP,
        other => panic!("{other}"),
    };
    let _ = rustix::process::kill_process(pid, signal);
}

/// Ended, and reaped or about to be.
pub fn gone(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")),
        Err(_) => true,
    }
}

/// Waits for what is sure to come.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: not within half a minute");
}

pub const LIBRARY: &str = "/usr/lib/softhsm/libsofthsm2.so";
