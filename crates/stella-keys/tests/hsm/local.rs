//! The local HSM, behind its worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use stella_keys::conformance::conformance;
use stella_keys::entropy::SystemEntropy;
use stella_keys::hsm::{Hsm, HsmOptions, KeyReference, Pin, VolatilePinMemory};
use stella_keys::local_hsm::{PinPolicy, RecoveryCode, initialize, recover, state};
use stella_keys::pkcs11::Pkcs11;
use stella_keys::software::PassphraseParams;
use stella_keys::{GenerateError, SignError, sign_verified};

use crate::bed::{Log, PIN, eventually, name, p256, pin, signal, token};

struct Local {
    _folder: tempfile::TempDir,
    path: PathBuf,
    recovery: RecoveryCode,
}

impl Local {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("gost");
        let cheap = PassphraseParams {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
        };
        let policy = PinPolicy {
            cost: cheap,
            attempts: 3,
        };
        let recovery = initialize(&path, &name("gost"), &pin(PIN), policy, &mut SystemEntropy).expect("new");
        Self {
            _folder: folder,
            path,
            recovery,
        }
    }

    fn options(&self, with: &str) -> HsmOptions {
        let mut options = HsmOptions::local(name("gost"), &self.path);
        options.pin = Some(Pin::new(with.as_bytes().to_vec()));
        options.program = Some(env!("CARGO_BIN_EXE_stella-keys-worker").into());
        options
    }

    fn start(&self) -> Pkcs11 {
        self.start_with(self.options(PIN), &Arc::default())
    }

    fn start_with(&self, options: HsmOptions, pins: &Arc<VolatilePinMemory>) -> Pkcs11 {
        Pkcs11::new(options, pins.clone(), Arc::new(Log::default()))
    }

    fn wrong(&self) -> u64 {
        state(&self.path).expect("state").wrong
    }
}

fn counted(hsm: &Pkcs11) -> u64 {
    let slots = hsm.slots().expect("slots");
    let words = slots[0]
        .description
        .rsplit_once(" signatures")
        .expect("a count")
        .0;
    words
        .rsplit(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("a number")
}

#[test]
fn the_local_hsm_passes_the_suite_with_every_algorithm() {
    let local = Local::new();
    let hsm = local.start();
    let made = AtomicU64::new(0);
    conformance(|algorithm| {
        let label = format!("key-{}", made.fetch_add(1, Ordering::Relaxed));
        let (at, public) = hsm.generate(&token("gost"), &label, algorithm).expect("key");
        let key = hsm.key(&at, &public).expect("key");
        Some(key)
    });
    let again = hsm.generate(&token("gost"), "key-0", p256());
    assert!(matches!(again, Err(GenerateError::Exists(_))), "{again:?}");
}

#[test]
fn a_key_is_found_again_by_its_name_and_shows_that_it_cannot_leave() {
    let local = Local::new();
    let (at, public) = local
        .start()
        .generate(&token("gost"), "release", p256())
        .expect("key");
    let hsm = local.start();
    let found = hsm.find(&at).expect("found");
    assert_eq!(found.public_key.as_ref(), Some(&public));
    assert_eq!(
        (found.extractable, found.never_extractable),
        (Some(false), Some(true))
    );
    let missing = KeyReference {
        object: Some("nightly".to_owned()),
        ..at.clone()
    };
    let missing = hsm.key(&missing, &public).err().expect("no such key");
    assert_eq!(missing.code(), "signer.key-missing");
    let (_, other) = hsm.generate(&token("gost"), "other", p256()).expect("key");
    let swapped = hsm.key(&at, &other).err().expect("another key");
    assert_eq!(swapped.code(), "signer.key-missing");
    assert!(hsm.check(Some((&at, &public))).expect("probe").key.is_some());
}

#[test]
fn a_wrong_pin_is_tried_once_and_three_of_them_lock_it_whoever_is_killed() {
    let local = Local::new();
    let right = local.start();
    let (at, public) = right.generate(&token("gost"), "release", p256()).expect("key");
    drop(right);

    let pins = Arc::default();
    let hsm = local.start_with(local.options("1234-wrong"), &pins);
    for _ in 0..3 {
        let refused = hsm.key(&at, &public).err().expect("refused");
        assert_eq!(refused.code(), "signer.unauthenticated", "{refused}");
        if let Some(pid) = hsm.status().pid {
            signal(pid, "KILL");
            eventually("another worker", || {
                hsm.status().pid.is_some_and(|other| other != pid)
            });
        }
    }
    assert_eq!(local.wrong(), 1, "it was tried once");

    // Who forgets what was refused is stopped by the HSM itself: before the
    // last try, and for good after it.
    let forgetful = || {
        let hsm = local.start_with(local.options("1234-wrong"), &Arc::default());
        hsm.key(&at, &public).err().expect("refused").to_string()
    };
    assert!(forgetful().contains("1 more and it is locked"));
    assert!(forgetful().contains("so none is tried"));
    let hsm = local.start_with(local.options("1234-wrong"), &Arc::default());
    let locked = hsm.verify_pin(&token("gost"), true).expect_err("forced");
    assert!(locked.to_string().contains("CKR_PIN_LOCKED"), "{locked}");
    let right = local.start().key(&at, &public).err().expect("locked");
    assert!(right.to_string().contains("recovery code"), "{right}");

    recover(
        &local.path,
        local.recovery.expose(),
        &pin(PIN),
        &mut SystemEntropy,
    )
    .expect("recovered");
    let key = local.start().key(&at, &public).expect("unlocked");
    assert_eq!(key.public_key(), &public);
}

#[test]
fn every_signature_is_counted_though_workers_are_killed() {
    let local = Local::new();
    let hsm = local.start();
    let (at, public) = hsm.generate(&token("gost"), "release", p256()).expect("key");
    let key = hsm.key(&at, &public).expect("key");
    let signed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut made = sign_verified(&*key, b"message");
                    while matches!(made, Err(SignError::Unavailable(_))) {
                        thread::yield_now();
                        made = sign_verified(&*key, b"message");
                    }
                    made.expect("signature");
                    signed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for goal in [20, 60, 100] {
            eventually("signatures", || signed.load(Ordering::Relaxed) >= goal);
            if let Some(pid) = hsm.status().pid {
                signal(pid, "KILL");
            }
        }
    });
    let before = counted(&hsm);
    assert!(before > 200, "{before}, with the probe");
    drop((key, hsm));
    let hsm = local.start();
    let key = hsm.key(&at, &public).expect("key");
    eventually("the last worker to give back what it did not use", || {
        counted(&hsm) <= before
    });
    let after = counted(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    assert_eq!(counted(&hsm), after + 1);
}

#[test]
fn a_local_hsm_that_is_not_there_or_is_another_says_so() {
    let local = Local::new();
    let elsewhere = HsmOptions {
        library: local.path.with_extension("none"),
        ..local.options(PIN)
    };
    let missing = local
        .start_with(elsewhere, &Arc::default())
        .slots()
        .expect_err("missing");
    assert!(
        missing.to_string().contains("there is no local HSM at"),
        "{missing}"
    );
    let renamed = HsmOptions {
        name: name("sm2"),
        ..local.options(PIN)
    };
    let other = local
        .start_with(renamed, &Arc::default())
        .slots()
        .expect_err("another");
    assert!(other.to_string().contains("is the local HSM \"gost\""), "{other}");
}
