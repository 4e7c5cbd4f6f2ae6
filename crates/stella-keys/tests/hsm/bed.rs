//! A token with a key store in front of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use stella_core::alg::{Algorithm, PublicKey};
use stella_keys::Sign;
use stella_keys::hsm::{
    Hsm, HsmEvent, HsmEvents, HsmOptions, KeyReference, ModuleName, Pin, PinMemory, TokenSelector,
    VolatilePinMemory,
};
use stella_keys::pkcs11::Pkcs11;
use stella_testkit::token::{Faults, Token};

pub struct Bed {
    pub token: Token,
    pub pins: Arc<VolatilePinMemory>,
    pub log: Arc<Log>,
}

impl Bed {
    pub fn of(token: Token) -> Self {
        Self {
            token,
            pins: Arc::default(),
            log: Arc::default(),
        }
    }

    /// A SoftHSM with the token `stella`.
    pub fn soft() -> Self {
        Self::of(Token::soft_hsm("stella"))
    }

    /// The same, failing as it is told.
    pub fn faulty() -> (Self, Faults) {
        let mut bed = Self::soft();
        let faults = Faults::before(&mut bed.token);
        (bed, faults)
    }

    pub fn folder(&self) -> &Path {
        self.token.folder()
    }

    /// A program that is no worker.
    pub fn script(&self, commands: &str) -> PathBuf {
        let path = self.folder().join("script");
        fs::write(&path, format!("#!/bin/sh\n{commands}\n")).expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("permissions");
        path
    }

    pub fn options(&self) -> HsmOptions {
        let mut options = HsmOptions::new(name("primary"), self.token.module());
        options.pin = Some(pin(self.token.pin()));
        options.env = self.token.environment().iter().cloned().collect();
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

/// A new P-256 key of the token `stella`.
pub fn key(hsm: &dyn Hsm) -> (Arc<dyn Sign>, KeyReference, PublicKey) {
    let (at, public_key) = hsm.generate(&token("stella"), "key", p256()).expect("generated");
    let key = hsm.key(&at, &public_key).expect("found");
    (key, at, public_key)
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

/// Of tokens that are made here, and not by a vendor's tool.
pub const PIN: &str = "1234-right";
