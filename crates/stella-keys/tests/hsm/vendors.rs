//! One suite, several vendors, each with its own ways.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stella_keys::conformance::conformance;
use stella_keys::hsm::Hsm;
use stella_keys::{SignError, sign_verified};
use stella_testkit::token::{Link, Token};

use super::bed::{Bed, eventually, key, token};

#[test]
fn softhsm_passes_the_suite() {
    assert_eq!(passes(Token::soft_hsm("stella")), ["CKM_EDDSA", "CKM_ECDSA"]);
}

#[test]
fn kryoptic_passes_the_suite_with_points_raw_and_wrapped() {
    let all = ["CKM_EDDSA", "CKM_ECDSA", "CKM_ML_DSA"];
    let Some(raw) = Token::kryoptic("stella") else {
        return;
    };
    assert_eq!(passes(raw), all);
    let Some(wrapped) = Token::kryoptic("stella") else {
        return;
    };
    assert_eq!(passes(wrapped.wrapping_points()), all);
}

#[test]
fn nss_passes_the_suite() {
    assert_eq!(passes(Token::nss("stella")), ["CKM_ECDSA"]);
}

#[test]
fn a_token_behind_a_network_passes_the_suite() {
    let mut far = Token::soft_hsm("stella");
    let _link = Link::before(&mut far);
    assert_eq!(passes(far), ["CKM_ECDSA"]);
}

#[test]
fn a_connection_that_was_cut_is_made_again() {
    let mut far = Token::soft_hsm("stella");
    let link = Link::before(&mut far);
    let bed = Bed::of(far);
    let mut options = bed.options();
    options.restart_backoff = Duration::from_millis(1);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    for _ in 0..3 {
        link.cut();
        let error = key.sign(b"message").expect_err("cut");
        assert_eq!(error.code(), "signer.unavailable", "{error}");
        eventually("it signs again", || sign_verified(&*key, b"message").is_ok());
    }
}

#[test]
fn a_connection_that_froze_is_given_up_at_the_deadline() {
    let mut far = Token::soft_hsm("stella");
    let link = Link::before(&mut far);
    let bed = Bed::of(far);
    let mut options = bed.options();
    options.request_timeout = Duration::from_secs(2);
    options.restart_backoff = Duration::from_millis(1);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    link.freeze();
    let error = key.sign(b"message").expect_err("frozen");
    assert!(matches!(error, SignError::TimedOut(_)), "{error}");
    // New connections are good, though the frozen one never ends.
    eventually("it signs again", || sign_verified(&*key, b"message").is_ok());
    link.thaw();
}

#[test]
fn a_far_end_that_is_down_is_down_until_it_is_up() {
    let mut far = Token::soft_hsm("stella");
    let link = Link::before(&mut far);
    let bed = Bed::of(far);
    let mut options = bed.options();
    options.restart_backoff = Duration::from_millis(1);
    options.max_restart_backoff = Duration::from_millis(50);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    let down = || {
        key.sign(b"message")
            .is_err_and(|e| e.code() == "signer.unavailable")
    };
    link.stop_server();
    for _ in 0..10 {
        eventually("it is down", down);
    }
    link.start_server();
    eventually("it signs again", || sign_verified(&*key, b"message").is_ok());
    link.stop_tunnel();
    for _ in 0..10 {
        eventually("it is down", down);
    }
    link.start_tunnel();
    eventually("it signs again", || sign_verified(&*key, b"message").is_ok());
}

/// Answers with the mechanisms of the algorithms that it passed with.
fn passes(vendor: Token) -> Vec<String> {
    let bed = Bed::of(vendor);
    let hsm = bed.start();
    let made = AtomicU32::new(0);
    let seen = Mutex::new(Vec::new());
    conformance(|algorithm| {
        let label = format!("key-{}", made.fetch_add(1, Ordering::Relaxed));
        let (at, public_key) = match hsm.generate(&token("stella"), &label, algorithm) {
            Ok(made) => made,
            Err(stella_keys::GenerateError::UnsupportedAlgorithm(_)) => return None,
            Err(e) => panic!("{algorithm}: {e}"),
        };
        let key = hsm.key(&at, &public_key).expect("the key that was made");
        let mut seen = seen.lock().expect("no panic before");
        let mechanism = key.describe().mechanism;
        if !seen.contains(&mechanism) {
            seen.push(mechanism);
        }
        Some(key)
    });
    seen.into_inner().expect("no panic before")
}
