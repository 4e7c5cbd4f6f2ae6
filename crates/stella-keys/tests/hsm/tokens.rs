//! Tokens that come, go and are not what they were.

use std::time::Duration;

use stella_keys::hsm::{Hsm, TokenSelector};
use stella_keys::sign_verified;

use super::bed::{Bed, eventually, key, p256, token};

#[test]
fn a_token_that_goes_away_and_comes_back_signs_again_by_itself() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.restart_backoff = Duration::from_millis(10);
    let hsm = bed.start_with(options);
    let (key, ..) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");

    bed.token.take_out();
    eventually("its absence is noticed", || {
        key.sign(b"message")
            .is_err_and(|e| e.code() == "signer.unavailable")
    });
    bed.token.put_back();
    eventually("it signs again", || sign_verified(&*key, b"message").is_ok());
}

#[test]
fn another_token_of_the_same_label_is_not_taken_for_it() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, at, public_key) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    let delete = ["--delete-token", "--token", "stella"];
    let done = bed.token.tool("softhsm2-util").args(delete).status();
    assert!(done.is_ok_and(|done| done.success()));
    bed.token.add("stella");
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
    let bed = Bed::soft();
    bed.token.add("stella");
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
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, ..) = key(&hsm);
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
    let bed = Bed::soft();
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

#[test]
fn a_token_that_was_initialised_again_has_lost_its_keys() {
    let bed = Bed::soft();
    let hsm = bed.start();
    let (key, at, public_key) = key(&hsm);
    sign_verified(&*key, b"message").expect("signature");
    bed.token.initialise_again();
    eventually("it is noticed", || {
        key.sign(b"message")
            .is_err_and(|e| e.code() == "signer.key-missing")
    });
    let error = bed.start().key(&at, &public_key).err().expect("no key");
    assert_eq!(error.code(), "signer.key-missing", "{error}");
}
