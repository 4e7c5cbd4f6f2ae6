//! Tokens that come, go and are not what they were.

use std::fs;
use std::time::Duration;

use stella_keys::hsm::{Hsm, TokenSelector};
use stella_keys::sign_verified;

use super::bed::{PIN, SoftHsm, eventually, p256, token};

#[test]
fn a_token_that_goes_away_and_comes_back_signs_again_by_itself() {
    let bed = SoftHsm::with_token("stella");
    let mut options = bed.options();
    options.restart_backoff = Duration::from_millis(10);
    let hsm = bed.start_with(options);
    let (at, public_key) = hsm.generate(&token("stella"), "key", p256()).expect("key");
    let key = hsm.key(&at, &public_key).expect("key");
    sign_verified(&*key, b"message").expect("signature");

    let away = bed.path().join("away");
    let home = fs::read_dir(bed.tokens())
        .expect("tokens")
        .next()
        .expect("one")
        .expect("one")
        .path();
    fs::rename(&home, &away).expect("move");
    eventually("its absence is noticed", || {
        key.sign(b"message")
            .is_err_and(|e| e.code() == "signer.unavailable")
    });
    fs::rename(&away, &home).expect("move");
    eventually("it signs again", || sign_verified(&*key, b"message").is_ok());
}

#[test]
fn another_token_of_the_same_label_is_not_taken_for_it() {
    let bed = SoftHsm::with_token("stella");
    let hsm = bed.start();
    let (at, public_key) = hsm.generate(&token("stella"), "key", p256()).expect("key");
    let key = hsm.key(&at, &public_key).expect("key");
    sign_verified(&*key, b"message").expect("signature");
    bed.util(&["--delete-token", "--token", "stella"]);
    bed.add_token("stella", PIN);
    hsm.reload(bed.options()).expect_err("the key is not there");
    let hsm = bed.start();
    let error = hsm.key(&at, &public_key).err().expect("another token");
    assert_eq!(error.code(), "signer.key-missing");
    let TokenSelector::Token {
        serial: Some(serial), ..
    } = &at.token
    else {
        panic!("{at}");
    };
    let text = error.to_string();
    assert!(
        text.contains(serial) && text.contains("another has its label"),
        "{text}"
    );
}

#[test]
fn two_tokens_of_one_label_are_told_apart_by_serial_alone() {
    let bed = SoftHsm::with_token("stella");
    bed.add_token("stella", PIN);
    let hsm = bed.start();
    let error = hsm.generate(&token("stella"), "key", p256()).expect_err("two");
    assert!(error.to_string().contains("name one by its serial"), "{error}");
    for slot in hsm.slots().expect("slots").iter().filter(|slot| slot.initialized) {
        let selector = TokenSelector::Token {
            label: slot.label.clone(),
            serial: Some(slot.serial.clone()),
        };
        let (at, public_key) = hsm.generate(&selector, "key", p256()).expect("key");
        sign_verified(&*hsm.key(&at, &public_key).expect("key"), b"message").expect("signature");
    }
}

#[test]
fn a_token_that_is_not_there_takes_none_of_the_others_away() {
    let bed = SoftHsm::with_token("stella");
    let hsm = bed.start();
    let (at, public_key) = hsm.generate(&token("stella"), "key", p256()).expect("key");
    let key = hsm.key(&at, &public_key).expect("key");
    for _ in 0..5 {
        let error = hsm
            .generate(&token("stela"), "key", p256())
            .expect_err("no such token");
        assert!(
            error
                .to_string()
                .contains("there is no token \"stela\": there is \"stella\""),
            "{error}"
        );
        sign_verified(&*key, b"message").expect("signature");
    }
    assert_eq!(hsm.status().restarts, 0);
}

#[test]
fn a_key_is_made_by_slot_and_found_by_token() {
    let bed = SoftHsm::with_token("stella");
    let hsm = bed.start();
    let slots = hsm.slots().expect("slots");
    let slot = slots.iter().find(|slot| slot.label == "stella").expect("slot");
    let (at, _) = hsm
        .generate(&TokenSelector::Slot(slot.id), "key", p256())
        .expect("key");
    assert!(at.to_string().starts_with("hsm://pkcs11/token/stella?"), "{at}");
    let none = hsm
        .generate(&TokenSelector::Slot(7), "key", p256())
        .expect_err("no such slot");
    assert!(none.to_string().contains("there is no token in slot 7"), "{none}");
}
