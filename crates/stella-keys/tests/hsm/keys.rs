//! Making, finding and using keys.

use std::time::Duration;

use stella_core::alg::Algorithm;
use stella_keys::hsm::{Hsm, KeyReference, TokenSelector};
use stella_keys::{GenerateError, SignError, sign_verified};

use super::bed::{Bed, key, p256, token};

#[test]
fn a_key_that_is_made_is_named_for_ever_and_cannot_leave_the_token() {
    let bed = Bed::soft();
    let (at, public_key) = bed
        .start()
        .generate(&token("stella"), "key-2025-prod", p256())
        .expect("key");
    let TokenSelector::Token { label, serial } = &at.token else {
        panic!("{at} goes by a slot");
    };
    assert!(label == "stella" && serial.is_some(), "{at}");
    assert_eq!(at.to_string().parse(), Ok(at.clone()));

    let later = bed.start();
    let found = later.find(&at).expect("found by another process");
    assert_eq!(found.public_key.as_ref(), Some(&public_key));
    assert_eq!(found.key_type, "SHA256-ECDSA-P256");
    assert_eq!((found.sensitive, found.extractable), (Some(true), Some(false)));
    assert_eq!((found.local, found.never_extractable), (Some(true), Some(true)));
    let key = later.key(&at, &public_key).expect("key");
    sign_verified(&*key, b"message").expect("signature");
    let description = key.describe();
    assert_eq!(description.mechanism, "CKM_ECDSA");
    assert!(description.slot.expect("slot").contains("\"stella\""));
}

#[test]
fn a_label_is_given_once() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (at, public_key) = hsm.generate(&token("stella"), "key", p256()).expect("key");
    assert_eq!(
        hsm.generate(&token("stella"), "key", p256()),
        Err(GenerateError::Exists("key".to_owned()))
    );
    // The first is untouched.
    let key = hsm.key(&at, &public_key).expect("key");
    sign_verified(&*key, b"message").expect("signature");
}

#[test]
fn an_algorithm_that_the_token_lacks_is_refused_by_name() {
    let bed = Bed::soft();
    let ml_dsa: Algorithm = "ml-dsa-65".parse().expect("algorithm");
    assert_eq!(
        bed.start().generate(&token("stella"), "key", ml_dsa),
        Err(GenerateError::UnsupportedAlgorithm(ml_dsa))
    );
}

#[test]
fn two_keys_of_one_label_are_told_apart_by_id_alone() {
    let bed = Bed::soft();
    bed.token.pkcs11_tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "twin",
        "--id",
        "0a",
    ]);
    bed.token.pkcs11_tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "twin",
        "--id",
        "0b",
    ]);
    let hsm = bed.start();
    let at = |text: &str| text.parse::<KeyReference>().expect(text);
    let error = hsm
        .find(&at("hsm://pkcs11/token/stella?object=twin"))
        .expect_err("two");
    assert_eq!(error.code(), "hsm.key-missing");
    let text = error.to_string();
    assert!(text.contains("2 private keys labelled \"twin\""), "{text}");
    assert!(text.contains("%0A") && text.contains("%0B"), "{text}");

    let a = at("hsm://pkcs11/token/stella?object=twin&id=%0A");
    let b = at("pkcs11:token=stella;object=twin;id=%0B");
    let [of_a, of_b] = [&a, &b].map(|at| hsm.find(at).expect("found").public_key.expect("public"));
    assert_ne!(of_a, of_b);
    sign_verified(&*hsm.key(&a, &of_a).expect("key"), b"message").expect("signature");
    // The expected public key is part of what a key is.
    let error = hsm.key(&a, &of_b).err().expect("another key");
    assert_eq!(error.code(), "signer.key-missing");
    assert!(error.to_string().contains("is another"), "{error}");
}

#[test]
fn a_key_that_was_deleted_is_missing_and_not_down() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    bed.token
        .pkcs11_tool(&["--delete-object", "--type", "privkey", "--label", "key"]);
    let error = key.sign(b"message").expect_err("gone");
    assert_eq!(error.code(), "signer.key-missing");
    assert!(
        error.to_string().contains("has no private key labelled \"key\""),
        "{error}"
    );
    assert_eq!(hsm.status().restarts, 0);
}

#[test]
fn a_key_that_asks_for_the_pin_each_time_is_refused() {
    let bed = Bed::soft();
    bed.token.pkcs11_tool(&[
        "--keypairgen",
        "--key-type",
        "EC:prime256v1",
        "--label",
        "personal",
        "--id",
        "0a",
        "--always-auth",
    ]);
    let hsm = bed.start();
    let at: KeyReference = "hsm://pkcs11/token/stella?object=personal"
        .parse()
        .expect("reference");
    let public_key = hsm.find(&at).expect("found").public_key.expect("public");
    let error = hsm.key(&at, &public_key).err().expect("refused");
    assert_eq!(error.code(), "signer.refused");
    assert!(error.to_string().contains("CKA_ALWAYS_AUTHENTICATE"), "{error}");
}

#[test]
fn a_session_that_was_idle_is_opened_anew() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.session_timeout = Duration::ZERO;
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    for _ in 0..20 {
        sign_verified(&*key, b"message").expect("signature");
    }
}

#[test]
fn a_message_beyond_the_bound_is_refused_where_the_token_hashes() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.max_message = 1000;
    let hsm = bed.start_with(options);
    let signer = |algorithm: &str| {
        let algorithm: Algorithm = algorithm.parse().expect("algorithm");
        let (at, public_key) = hsm
            .generate(&token("stella"), algorithm.id(), algorithm)
            .expect("key");
        hsm.key(&at, &public_key).expect("key")
    };
    let ed25519 = signer("ed25519");
    sign_verified(&*ed25519, &[0; 1000]).expect("signature");
    assert_eq!(
        ed25519.sign(&[0; 1001]),
        Err(SignError::MessageTooLarge {
            limit: 1000,
            actual: 1001
        })
    );
    sign_verified(&*signer("p256"), &[0; 100_000]).expect("its digest is short");
}

#[test]
fn slots_and_library_say_what_they_can_do() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let info = hsm.info().expect("info");
    assert!(info.manufacturer.contains("SoftHSM"), "{info:?}");
    let names: Vec<_> = info.mechanisms.iter().map(|m| m.mechanism.as_str()).collect();
    assert_eq!(names, ["CKM_EDDSA", "CKM_ECDSA"]);
    let slots = hsm.slots().expect("slots");
    let stella: Vec<_> = slots.iter().filter(|slot| slot.label == "stella").collect();
    assert!(matches!(&stella[..], [slot] if slot.pin.initialized && !slot.pin.locked));

    let (at, public_key) = hsm.generate(&token("stella"), "key", p256()).expect("key");
    let probe = hsm.check(Some((&at, &public_key))).expect("probe");
    assert_eq!(probe.tokens, 1);
    assert_eq!(probe.key.expect("key").token_label, "stella");
}
