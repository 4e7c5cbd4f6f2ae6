//! One worker takes over from another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use stella_keys::hsm::Hsm;
use stella_keys::sign_verified;

use super::bed::{Bed, eventually, gone, key, pin, token};

#[test]
fn no_request_notices_that_the_worker_is_replaced() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, ..) = key(&hsm);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    sign_verified(&*key, b"message").expect("signature");
                }
            });
        }
        for _ in 0..30 {
            let before = hsm.status().pid.expect("pid");
            hsm.reload(bed.options()).expect("reload");
            assert_ne!(hsm.status().pid, Some(before));
            eventually("the old one ends", || gone(before));
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_replacement_that_does_not_work_replaces_nothing() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, ..) = key(&hsm);
    let before = hsm.status().pid;

    let mut wrong = bed.options();
    wrong.pin = Some(pin("1234-wrong"));
    let error = hsm.reload(wrong).expect_err("wrong PIN");
    assert_eq!(error.code(), "hsm.unauthenticated");
    let mut missing = bed.options();
    missing.library = "/nowhere/libvendor.so".into();
    assert_eq!(
        hsm.reload(missing).expect_err("no library").code(),
        "hsm.unavailable"
    );

    assert_eq!(hsm.status().pid, before);
    sign_verified(&*key, b"message").expect("signature");
}

#[test]
fn a_pin_that_was_changed_elsewhere_is_found_out_and_replaced() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, ..) = key(&hsm);
    bed.token
        .pkcs11_tool(&["--change-pin", "--new-pin", "5678-newer"]);

    // Who is logged in stays so, and no PIN is tried for it.
    sign_verified(&*key, b"message").expect("signature");
    let error = hsm.verify_pin(&token("stella"), false).expect_err("the old PIN");
    assert!(error.to_string().contains("CKR_PIN_INCORRECT"), "{error}");
    assert_eq!(
        hsm.reload(bed.options()).expect_err("the old PIN").code(),
        "hsm.unauthenticated"
    );
    assert_eq!(bed.log.count("pin.refused"), 1);

    let mut newer = bed.options();
    newer.pin = Some(pin("5678-newer"));
    hsm.reload(newer).expect("the new PIN");
    sign_verified(&*key, b"message").expect("signature");
}
