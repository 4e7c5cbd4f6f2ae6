//! What modules do wrong, one by one: what the caller hears, and that signing
//! goes on when the fault is over.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stella_keys::hsm::{Hsm, WorkerState};
use stella_keys::pkcs11::Pkcs11;
use stella_keys::{Sign, SignError, sign_verified};
use stella_testkit::token::Faults;

use super::bed::{Bed, eventually, gone, key, p256, token};

/// A key that signed, behind a module that restarts quickly.
fn signing(timeout: Duration) -> (Bed, Faults, Pkcs11, Arc<dyn Sign>) {
    let (bed, faults) = Bed::faulty();
    let mut options = bed.options();
    options.request_timeout = timeout;
    options.stop_timeout = Duration::from_secs(600);
    options.restart_backoff = Duration::from_millis(1);
    options.max_restart_backoff = Duration::from_millis(20);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    (bed, faults, hsm, key)
}

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(300);

fn signs_again(key: &dyn Sign) {
    eventually("it signs again", || sign_verified(key, b"message").is_ok());
}

#[test]
fn a_lost_session_is_mended_without_the_caller_noticing() {
    let (_bed, faults, hsm, key) = signing(PATIENT);
    for code in [
        "0xB3",  // SESSION_HANDLE_INVALID
        "0xB0",  // SESSION_CLOSED
        "0x82",  // OBJECT_HANDLE_INVALID
        "0x60",  // KEY_HANDLE_INVALID
        "0x101", // USER_NOT_LOGGED_IN
        "0x90",  // OPERATION_ACTIVE
        "0x91",  // OPERATION_NOT_INITIALIZED
    ] {
        for function in ["C_SignInit", "C_Sign"] {
            faults.set(&format!("{function} rv {code} 1"));
            sign_verified(&*key, b"message").unwrap_or_else(|e| panic!("{function} {code}: {e}"));
            assert!(faults.used(0) > 0, "{function} {code}");
        }
    }
    assert_eq!(hsm.status().restarts, 0);
}

#[test]
fn lost_sessions_and_a_lost_login_are_mended_with_one_login() {
    let (_bed, faults, hsm, key) = signing(PATIENT);
    for rule in ["C_SignInit close-all 1", "C_SignInit log-out 1"] {
        faults.set(&format!("{rule}\nC_Login count"));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        sign_verified(&*key, b"message").unwrap_or_else(|e| panic!("{rule}: {e}"));
                    }
                });
            }
        });
        assert!(faults.used(0) > 0);
        assert_eq!(faults.used(1), 1, "{rule}");
    }
    assert_eq!(hsm.status().restarts, 0);
}

#[test]
fn a_session_that_is_lost_for_good_is_reported_after_one_more_try() {
    let (_bed, faults, hsm, key) = signing(PATIENT);
    faults.set("C_SignInit rv 0xB3");
    let error = key.sign(b"message").expect_err("no session lasts");
    assert_eq!(error.code(), "signer.unavailable");
    assert!(
        error
            .to_string()
            .contains("HSM session timeout: module \"primary\", C_SignInit (CKR_SESSION_HANDLE_INVALID)"),
        "{error}"
    );
    faults.clear();
    signs_again(&*key);
    assert_eq!(hsm.status().restarts, 0);
}

#[test]
fn a_broken_module_is_restarted_and_named_with_its_code() {
    for (code, name) in [
        ("0x30", "CKR_DEVICE_ERROR"),
        ("0x32", "CKR_DEVICE_REMOVED"),
        ("0xE0", "CKR_TOKEN_NOT_PRESENT"),
        ("0x5", "CKR_GENERAL_ERROR"),
        ("0x190", "CKR_CRYPTOKI_NOT_INITIALIZED"),
        ("0x80000123", "CKR_VENDOR_DEFINED 0x80000123"),
    ] {
        let (_bed, faults, hsm, key) = signing(PATIENT);
        let before = hsm.status().restarts;
        faults.set(&format!("C_Sign rv {code} 1"));
        let error = key.sign(b"message").expect_err(name);
        assert_eq!(error.code(), "signer.unavailable");
        let text = error.to_string();
        assert!(
            text.contains(&format!("HSM unavailable: module \"primary\", C_Sign ({name})")),
            "{text}"
        );
        signs_again(&*key);
        assert_eq!(hsm.status().restarts, before + 1, "{name}");
    }
}

#[test]
fn a_thousand_device_errors_are_not_a_thousand_restarts() {
    let (bed, faults) = Bed::faulty();
    let mut options = bed.options();
    options.restart_backoff = Duration::from_millis(20);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    faults.set("C_Sign rv 0x30");
    for _ in 0..1000 {
        assert_eq!(
            key.sign(b"message").expect_err("broken").code(),
            "signer.unavailable"
        );
    }
    // The first is answered at once, and each later one waits twice as long.
    let restarts = hsm.status().restarts;
    assert!(restarts < 12, "{restarts} restarts");
    faults.clear();
    signs_again(&*key);
}

#[test]
fn a_hang_ends_at_the_deadline_with_the_worker() {
    let (_bed, faults, hsm, key) = signing(HASTY);
    let before = hsm.status().pid.expect("pid");
    faults.set("C_Sign hang 1");
    let error = key.sign(b"message").expect_err("hangs");
    assert!(matches!(error, SignError::TimedOut(_)), "{error}");
    assert!(
        error.to_string().contains(
            "HSM unavailable: module \"primary\" did not answer C_Sign within 300 ms (worker killed)"
        ),
        "{error}"
    );
    eventually("the worker is dead", || gone(before));
    signs_again(&*key);
}

#[test]
fn one_hang_is_every_callers_error_and_nobody_waits_longer() {
    let (_bed, faults, _hsm, key) = signing(HASTY);
    faults.set("C_Sign hang");
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let error = key.sign(b"message").expect_err("hangs");
                let code = error.code();
                assert!(
                    matches!(code, "signer.timed-out" | "signer.unavailable"),
                    "{error}"
                );
            });
        }
    });
    faults.clear();
    signs_again(&*key);
}

#[test]
fn a_hang_in_the_login_ends_at_the_deadline_and_speaks_against_no_pin() {
    let (bed, faults) = Bed::faulty();
    let mut options = bed.options();
    options.request_timeout = HASTY;
    options.restart_backoff = Duration::from_millis(1);
    let hsm = bed.start_with(options);
    faults.set("C_Login hang 1");
    let error = hsm
        .generate(&token("stella"), "first", p256())
        .expect_err("hangs");
    assert!(
        error.to_string().contains("did not answer C_Login within 300 ms"),
        "{error}"
    );
    assert_eq!(bed.log.count("pin.refused"), 0);
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
}

#[test]
fn a_hang_in_the_start_ends_at_the_deadline_and_the_next_start_is_good() {
    let (bed, faults) = Bed::faulty();
    let mut options = bed.options();
    options.start_timeout = HASTY;
    options.restart_backoff = Duration::from_millis(1);
    faults.set("C_Initialize hang 1");
    let hsm = bed.start_with(options);
    // Who waits for the start gets the one that is good.
    hsm.slots().expect("slots");
    assert_eq!(bed.log.count("worker.start-failed"), 1);
    let last = hsm.status().last_error.expect("remembered").1.to_string();
    assert!(
        last.contains("did not answer C_Initialize within 300 ms (worker killed)"),
        "{last}"
    );
}

#[test]
fn a_slow_start_under_load_is_waited_for_and_not_killed() {
    let (bed, faults) = Bed::faulty();
    let mut options = bed.options();
    options.request_timeout = Duration::from_millis(800);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    let before = hsm.status().restarts;
    faults.set("C_Initialize delay 600\nC_Login delay 300\nC_Sign rv 0x30 1");
    key.sign(b"message").expect_err("once");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| signs_again(&*key));
        }
    });
    assert_eq!(hsm.status().restarts, before + 1);
}

#[test]
fn a_module_that_aborts_takes_the_worker_and_nothing_else() {
    let (_bed, faults, hsm, key) = signing(PATIENT);
    faults.set("C_Sign abort 1");
    let error = key.sign(b"message").expect_err("aborts");
    assert_eq!(error.code(), "signer.unavailable");
    assert!(
        error.to_string().contains("its worker aborted (SIGABRT)"),
        "{error}"
    );
    signs_again(&*key);
    assert_eq!(hsm.status().state, WorkerState::Running);
}

#[test]
fn a_wrong_signature_is_never_released() {
    let (_bed, faults, _hsm, key) = signing(PATIENT);
    for rule in ["C_Sign corrupt", "C_Sign short"] {
        faults.set(rule);
        for _ in 0..20 {
            assert_eq!(
                sign_verified(&*key, b"message"),
                Err(SignError::DoesNotVerify),
                "{rule}"
            );
        }
        faults.clear();
        sign_verified(&*key, b"message").expect("signature");
    }
}

#[test]
fn a_module_that_shows_no_slots_is_down_whatever_it_says() {
    let (bed, faults) = Bed::faulty();
    let mut options = bed.options();
    options.restart_backoff = Duration::from_millis(1);
    options.max_restart_backoff = Duration::from_millis(20);
    let hsm = bed.start_with(options);
    faults.set("C_GetSlotList empty");
    let error = hsm.slots().expect_err("down");
    assert_eq!(error.code(), "hsm.unavailable");
    assert!(
        error.to_string().contains("C_GetSlotList (CKR_OK, 0 slots)"),
        "{error}"
    );
    faults.clear();
    eventually("it is back", || hsm.slots().is_ok());
}

#[test]
fn slots_may_be_numbered_anew_at_any_time() {
    let (_bed, faults, hsm, key) = signing(PATIENT);
    let id = || {
        let slots = hsm.slots().expect("slots");
        slots.iter().find(|slot| slot.label == "stella").expect("slot").id
    };
    let before = id();
    // With each new number the old sessions are gone.
    faults.set("C_GetSlotList renumber 7\nC_SignInit rv 0xB3 1");
    sign_verified(&*key, b"message").expect("signature");
    assert_eq!(id(), before + 7);
    faults.clear();
    faults.set("C_SignInit rv 0xB3 1");
    sign_verified(&*key, b"message").expect("signature");
    assert_eq!(id(), before);
}

#[test]
fn a_token_about_to_lock_is_left_alone_until_somebody_insists() {
    let (bed, faults) = Bed::faulty();
    bed.start()
        .generate(&token("stella"), "key", p256())
        .expect("key");
    // CKF_USER_PIN_FINAL_TRY and CKF_USER_PIN_LOCKED.
    for (flag, name) in [
        ("0x20000", "CKF_USER_PIN_FINAL_TRY"),
        ("0x40000", "CKF_USER_PIN_LOCKED"),
    ] {
        faults.set(&format!("C_GetTokenInfo flags {flag}\nC_Login count"));
        let error = bed.start().verify_pin(&token("stella"), false).expect_err(name);
        assert_eq!(error.code(), "hsm.unauthenticated");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(faults.used(1), 0, "{name}: no PIN was tried");
    }
    faults.set("C_GetTokenInfo flags 0x20000\nC_Login count");
    let report = bed
        .start()
        .verify_pin(&token("stella"), true)
        .expect("the right PIN");
    assert!(report.before.final_try);
    assert_eq!(faults.used(1), 1);
    // A wrong one was entered since: said, and no reason to stop.
    faults.set("C_GetTokenInfo flags 0x10000\nC_Login count");
    assert!(
        bed.start()
            .verify_pin(&token("stella"), false)
            .expect("the right PIN")
            .before
            .count_low
    );
    assert_eq!(bed.log.count("pin.count-low"), 1);
}

#[test]
fn a_refused_pin_is_seen_once_by_the_token() {
    // CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_PIN_EXPIRED.
    for code in ["0xA0", "0xA4", "0xA3"] {
        let (bed, faults) = Bed::faulty();
        faults.set(&format!("C_Login rv {code}\nC_Login count"));
        for _ in 0..3 {
            let hsm = bed.start();
            for _ in 0..3 {
                let error = hsm
                    .generate(&token("stella"), "key", p256())
                    .expect_err("no login");
                assert_eq!(error.code(), "key-store.unauthenticated", "{error}");
            }
        }
        assert_eq!(faults.used(1), 1, "{code}");
    }
}
