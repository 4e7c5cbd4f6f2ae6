use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::conformance::conformance;
use crate::entropy::SystemEntropy;
use crate::software::PassphraseParams;
use crate::{SignError, StoreDescription, sign_verified};

const CHEAP: PinPolicy = PinPolicy {
    cost: PassphraseParams {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    },
    attempts: 3,
};

struct Bench {
    _temporary: tempfile::TempDir,
    path: PathBuf,
    recovery: RecoveryCode,
}

impl Bench {
    fn new() -> Self {
        // In memory where that can be: these write and sync a lot.
        let temporary = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("folder");
        let path = temporary.path().join("gost");
        let recovery = initialize(&path, &name(), &pin(1), CHEAP, &mut SystemEntropy).expect("new");
        Self {
            _temporary: temporary,
            path,
            recovery,
        }
    }

    fn open(&self) -> Result<Vault, LocalError> {
        Vault::open(&self.path, &name(), &pin(1))
    }

    fn state(&self) -> TokenState {
        state(&self.path).expect("state")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn name() -> ModuleName {
    "gost".parse().expect("name")
}

fn pin(n: u8) -> Pin {
    Pin::new(format!("a pin number {n}").into_bytes())
}

fn label(text: &str) -> KeyId {
    text.parse().expect("key id")
}

fn p256() -> Algorithm {
    "p256".parse().expect("algorithm")
}

fn make(vault: &Vault, text: &str) -> PublicKey {
    vault
        .generate(&label(text), p256(), &mut SystemEntropy)
        .expect("key")
}

/// A key of the vault, as the suite wants it.
struct Held(Arc<Vault>, KeyId, PublicKey);

impl Sign for Held {
    fn public_key(&self) -> &PublicKey {
        &self.2
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0
            .sign(&self.1, message)
            .map_err(|e| SignError::Internal(e.to_string()))
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription {
            store: "local".to_owned(),
            mechanism: "all".to_owned(),
            slot: None,
        }
    }
}

#[test]
fn passes_the_suite() {
    let bench = Bench::new();
    let vault = Arc::new(bench.open().expect("open"));
    let made = AtomicU64::new(0);
    conformance(|algorithm| {
        let label = label(&format!("key-{}", made.fetch_add(1, Ordering::Relaxed)));
        let public = vault.generate(&label, algorithm, &mut SystemEntropy).ok()?;
        Some(Arc::new(Held(Arc::clone(&vault), label, public)) as Arc<dyn Sign>)
    });
}

#[test]
fn keys_are_there_again_after_the_next_start() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    let public = make(&vault, "one");
    make(&vault, "two");
    drop(vault);
    let vault = bench.open().expect("open again");
    assert_eq!(vault.labels().expect("labels"), [label("one"), label("two")]);
    let key = vault.key(&label("one")).expect("key");
    assert_eq!(key.public_key(), &public);
    assert!(sign_verified(&*key, b"message").is_ok());
}

#[test]
fn a_key_is_never_replaced_and_one_that_is_not_there_is_named() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    let public = make(&vault, "one");
    let again = vault.generate(&label("one"), p256(), &mut SystemEntropy);
    assert!(matches!(again, Err(LocalError::KeyExists(_))), "{again:?}");
    assert_eq!(vault.key(&label("one")).expect("key").public_key(), &public);
    let missing = vault.sign(&label("two"), b"message");
    assert!(matches!(missing, Err(LocalError::KeyMissing(_))), "{missing:?}");
}

#[test]
fn a_local_hsm_that_is_there_is_never_replaced() {
    let bench = Bench::new();
    make(&bench.open().expect("open"), "one");
    let again = initialize(&bench.path, &name(), &pin(2), CHEAP, &mut SystemEntropy);
    assert!(matches!(again, Err(LocalError::Exists(_))));
    assert_eq!(
        bench.open().expect("open").labels().expect("labels"),
        [label("one")]
    );
    let beside = std::fs::read_dir(bench.path.parent().expect("parent")).expect("folder");
    assert_eq!(beside.count(), 1, "nothing is left beside it");
}

#[test]
fn the_pin_locks_after_so_many_wrong_ones_and_the_recovery_code_mends_it() {
    let bench = Bench::new();
    make(&bench.open().expect("open"), "one");
    let wrong = || Vault::open(&bench.path, &name(), &pin(9)).err().expect("wrong");
    assert!(matches!(wrong(), LocalError::PinIncorrect { left: 2 }));
    assert!(matches!(wrong(), LocalError::PinIncorrect { left: 1 }));
    assert_eq!(bench.state().wrong, 2);
    assert!(!bench.state().is_locked());
    // The right one clears the count.
    drop(bench.open().expect("open"));
    assert_eq!(bench.state().wrong, 0);

    wrong();
    wrong();
    assert!(matches!(wrong(), LocalError::PinLocked { limit: 3 }));
    assert!(bench.state().is_locked());
    let locked = bench.open().err().expect("locked");
    assert!(
        matches!(locked, LocalError::PinLocked { limit: 3 }),
        "the right PIN"
    );

    let refused = recover(&bench.path, "0000-0000", &pin(2), &mut SystemEntropy);
    assert!(matches!(refused, Err(LocalError::RecoveryRefused)));
    let code = bench.recovery.expose().to_uppercase();
    recover(&bench.path, &code, &pin(2), &mut SystemEntropy).expect("recovered");
    let vault = Vault::open(&bench.path, &name(), &pin(2)).expect("the new PIN");
    assert_eq!(vault.labels().expect("labels"), [label("one")]);
    assert!(bench.open().is_err(), "the old PIN");

    // Whoever removes the count of attempts gains none.
    std::fs::remove_file(bench.file(ATTEMPTS)).expect("removed");
    let gone = Vault::open(&bench.path, &name(), &pin(2))
        .err()
        .expect("no count");
    assert!(matches!(gone, LocalError::Damaged { .. }), "{gone}");
    recover(&bench.path, &code, &pin(3), &mut SystemEntropy).expect("recovered");
    assert!(Vault::open(&bench.path, &name(), &pin(3)).is_ok());
}

/// The attempt counts before it is tried, so that killing the process in the
/// middle of it gains no guess.
#[test]
fn a_pin_is_not_tried_before_the_attempt_is_on_disk() {
    let bench = Bench::new();
    let folder = Folder::open(&bench.path).expect("folder");
    let token = Token::read(&folder).expect("token");
    let try_pin = |pin: &Pin, steps| {
        let lock = folder.lock().expect("lock");
        folder.steps.fail_after(steps);
        let result = login(&folder, &lock, &token, pin);
        folder.steps.succeed();
        result.map(drop)
    };
    for steps in [0, 1] {
        let untried = try_pin(&pin(9), steps);
        assert!(matches!(untried, Err(LocalError::Io { .. })), "{untried:?}");
    }
    let before = bench.state().wrong;
    let tried = try_pin(&pin(9), 2);
    assert!(matches!(tried, Err(LocalError::PinIncorrect { .. })), "{tried:?}");
    assert_eq!(bench.state().wrong, before + 1);
}

#[test]
fn a_changed_pin_is_the_only_one() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    let short = vault.change_pin(&pin(1), &Pin::new(b"1234".to_vec()), &mut SystemEntropy);
    assert!(matches!(short, Err(LocalError::PinLength { .. })));
    let wrong = vault.change_pin(&pin(2), &pin(3), &mut SystemEntropy);
    assert!(matches!(wrong, Err(LocalError::PinIncorrect { left: 2 })));
    vault
        .change_pin(&pin(1), &pin(2), &mut SystemEntropy)
        .expect("changed");
    assert!(bench.open().is_err());
    assert!(Vault::open(&bench.path, &name(), &pin(2)).is_ok());
}

#[test]
fn every_signature_is_counted_and_the_count_never_goes_back() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    make(&vault, "one");
    let sign = |vault: &Vault| vault.sign(&label("one"), b"message").expect("signature");
    for _ in 0..5 {
        sign(&vault);
    }
    assert_eq!(vault.signatures().expect("count"), 5);
    // Another process signs at the same time.
    let other = bench.open().expect("open");
    sign(&other);
    assert!(other.signatures().expect("count") >= 6);
    other.close().expect("close");
    vault.close().expect("close");
    drop((vault, other));

    let vault = bench.open().expect("open");
    let before = vault.signatures().expect("count");
    assert!((6..=6 + RESERVED).contains(&before), "{before}");
    sign(&vault);
    // Killed: nothing is given back.
    drop(vault);
    let vault = bench.open().expect("open");
    let after = vault.signatures().expect("count");
    assert!((before + 1..=before + RESERVED).contains(&after), "{after}");
    sign(&vault);
    vault.close().expect("close");
    let count = bench.open().expect("open").signatures().expect("count");
    assert_eq!(count, after + 1, "in order it is exact");
}

#[test]
fn nothing_is_signed_that_cannot_be_counted() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    make(&vault, "one");
    vault.folder.steps.fail_after(0);
    let full = vault
        .sign(&label("one"), b"message")
        .expect_err("the disk is full");
    assert!(full.to_string().contains("cannot write"), "{full}");
    vault.folder.steps.succeed();
    assert!(
        vault.sign(&label("one"), b"message").is_ok(),
        "once there is room"
    );
    vault.folder.steps.fail_after(0);
    assert!(
        vault.sign(&label("one"), b"message").is_ok(),
        "counted beforehand"
    );
}

#[test]
fn a_key_made_on_a_full_disk_is_there_whole_or_not_at_all() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    let mut whole = 0;
    for steps in 0..8 {
        vault.folder.steps.fail_after(steps);
        let id = label(&format!("key{steps}"));
        let made = vault.generate(&id, p256(), &mut SystemEntropy);
        vault.folder.steps.succeed();
        // The next start finds a key that signs, or none.
        let again = bench.open().expect("open");
        match (made, again.key(&id)) {
            (Ok(public), Ok(key)) => {
                assert_eq!(key.public_key(), &public);
                whole += 1;
            }
            (Ok(_), Err(e)) => panic!("step {steps}: it was promised: {e}"),
            (Err(_), Ok(key)) => assert!(sign_verified(&*key, b"message").is_ok()),
            (Err(_), Err(e)) => assert!(matches!(e, LocalError::KeyMissing(_)), "step {steps}: {e}"),
        }
        let left = again.folder.names().expect("names");
        assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
    }
    assert!(whole >= 1, "at last there was room enough");
}

#[test]
fn a_changed_pin_on_a_full_disk_is_one_or_the_other() {
    for steps in 0..8 {
        let bench = Bench::new();
        let vault = bench.open().expect("open");
        // Beyond the two steps of each of the two attempts it writes.
        vault.folder.steps.fail_after(4 + steps);
        let changed = vault.change_pin(&pin(1), &pin(2), &mut SystemEntropy);
        drop(vault);
        let old = bench.open().is_ok();
        let new = Vault::open(&bench.path, &name(), &pin(2)).is_ok();
        assert!(old != new, "step {steps}");
        assert!(new || changed.is_err(), "step {steps}");
    }
}

/// Whatever is changed in whichever file, it opens with the key it had, or
/// does not; it never signs with another, and never counts less.
#[test]
fn damage_at_any_byte_of_any_file_is_found() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    let public = make(&vault, "one");
    vault.sign(&label("one"), b"message").expect("signature");
    vault.close().expect("close");
    drop(vault);
    for file in ["token", "attempts", "count", "key-one"] {
        let path = bench.file(file);
        let good = std::fs::read(&path).expect("file");
        let interesting: Vec<usize> = match file {
            // Two records, and nothing between them.
            "attempts" | "count" => (0..48).chain(4096..4144).collect(),
            _ => (0..good.len()).collect(),
        };
        for at in interesting {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("damage");
            opens_right_or_not_at_all(&bench, &public, &format!("{file}, byte {at}"));
            std::fs::write(&path, &good[..at]).expect("damage");
            opens_right_or_not_at_all(&bench, &public, &format!("{file}, {at} bytes"));
            std::fs::write(&path, &good).expect("mended");
            clear_attempts(&bench);
        }
        std::fs::remove_file(&path).expect("removed");
        opens_right_or_not_at_all(&bench, &public, &format!("{file} is gone"));
        std::fs::write(&path, &good).expect("mended");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        clear_attempts(&bench);
    }
}

fn opens_right_or_not_at_all(bench: &Bench, public: &PublicKey, what: &str) {
    let Ok(vault) = bench.open() else { return };
    assert!(vault.signatures().expect("count") >= 1, "{what}");
    match vault.key(&label("one")) {
        Ok(key) => assert_eq!(key.public_key(), public, "{what}"),
        Err(e) => assert!(
            matches!(
                e,
                LocalError::Damaged { .. }
                    | LocalError::KeyMissing(_)
                    | LocalError::UnsupportedVersion { .. }
            ),
            "{what}: {e}"
        ),
    }
}

fn clear_attempts(bench: &Bench) {
    let folder = Folder::open(&bench.path).expect("folder");
    let _lock = folder.lock().expect("lock");
    if bench.file(ATTEMPTS).exists()
        && let Ok(tally) = attempts(&folder)
    {
        let _ = tally.write(&folder, 0);
    }
}

#[test]
fn what_others_could_have_written_is_not_used() {
    let bench = Bench::new();
    make(&bench.open().expect("open"), "one");
    let mode = |file: PathBuf, mode| {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("mode");
    };
    for file in ["token", "attempts", "count", "lock"] {
        mode(bench.file(file), 0o640);
        let error = bench.open().err().expect(file);
        let mend = format!("run chmod 600 {}", bench.file(file).display());
        assert!(error.to_string().ends_with(&mend), "{error}");
        mode(bench.file(file), 0o600);
    }
    mode(bench.path.clone(), 0o750);
    let error = bench.open().err().expect("the folder");
    let mend = format!("run chmod 700 {}", bench.path.display());
    assert!(error.to_string().ends_with(&mend), "{error}");
    mode(bench.path.clone(), 0o700);

    let vault = bench.open().expect("open");
    let real = bench.path.with_extension("real");
    std::fs::rename(bench.file("key-one"), &real).expect("moved");
    symlink(&real, bench.file("key-one")).expect("link");
    let error = vault.key(&label("one")).expect_err("a link");
    assert!(error.to_string().contains("not a plain file"), "{error}");

    let elsewhere = bench.path.with_extension("moved");
    std::fs::rename(&bench.path, &elsewhere).expect("moved");
    symlink(&elsewhere, &bench.path).expect("link");
    assert!(bench.open().is_err(), "a folder that is a link");
}

#[test]
fn one_name_does_not_open_as_another_and_a_key_not_under_another_label() {
    let bench = Bench::new();
    let vault = bench.open().expect("open");
    make(&vault, "one");
    std::fs::copy(bench.file("key-one"), bench.file("key-two")).expect("copied");
    let error = vault.sign(&label("two"), b"message").expect_err("another label");
    assert!(matches!(error, LocalError::Damaged { .. }), "{error}");
    let other = "sm2".parse().expect("name");
    let error = Vault::open(&bench.path, &other, &pin(1))
        .err()
        .expect("another name");
    assert!(error.to_string().contains("the local HSM \"gost\""), "{error}");
    assert_eq!(bench.state().wrong, 0, "no PIN was tried");
}
