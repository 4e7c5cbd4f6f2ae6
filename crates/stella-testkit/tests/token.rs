//! The test beds hold what they promise, seen by a plain PKCS#11 client in a
//! process of its own.

mod client;

use client::Client;
use stella_testkit::token::{Faults, Kind, Link, Token};

const GOOD: &str = "64 bytes, verified";

#[test]
fn a_soft_hsm_token_signs_with_each_of_its_kinds_of_key() {
    let token = Token::soft_hsm("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    token.generate(Kind::Ed25519, "nightly", "02");
    let slot = token.slot();
    assert_eq!(slot.serial.len(), 16, "{slot:?}");
    let mut client = Client::of(&token);
    assert_eq!(client.ask("slots"), format!("{}=bed", slot.id));
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("sign release"), GOOD);
    assert_eq!(client.ask("sign nightly"), GOOD);
    token.delete("release");
    assert_eq!(client.ask("sign release"), "SignInit: ObjectHandleInvalid");
    assert_eq!(client.ask("find release"), "0 keys");
}

#[test]
fn a_token_is_cloned_taken_out_put_back_and_made_anew() {
    let mut token = Token::soft_hsm("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    let slot = token.slot();
    let clone = token.cloned();
    assert_eq!(clone.slot().serial, slot.serial);
    let mut client = Client::of(&clone);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("sign release"), GOOD);

    token.take_out();
    assert_eq!(token.slots(), []);
    assert!(!token.is_there());
    token.put_back();
    token.change_pin("31528");
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("sign release"), GOOD);

    token.initialise_again();
    assert_eq!(token.slot().serial, slot.serial);
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("find release"), "0 keys");
    token.add("bed");
    assert_eq!(token.slots().len(), 2, "two of the same label");
    let mut client = Client::of_module(&token, &token.copy_of_module("second.so"));
    assert_eq!(client.ask("slots").matches("=bed").count(), 2);

    std::fs::remove_dir_all(token.files()).expect("its files");
    std::fs::create_dir(token.files()).expect("an empty folder");
    token.restore_from(&clone);
    assert!(token.is_there());
    assert_eq!(token.slot().serial, slot.serial);
}

#[test]
fn a_fault_comes_as_often_as_was_asked_for() {
    let mut token = Token::soft_hsm("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    let faults = Faults::before(&mut token);
    token.generate(Kind::Ed25519, "nightly", "02");
    token.delete("nightly");
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("sign release"), GOOD);

    faults.set("C_SignInit rv 0x30 2");
    assert_eq!(client.ask("sign release"), "SignInit: DeviceError");
    assert_eq!(client.ask("sign release"), "SignInit: DeviceError");
    assert_eq!(client.ask("sign release"), GOOD);
    assert_eq!(faults.used(0), 3, "the third was one too many");

    // Whoever fails in C_Sign leaves an operation behind.
    faults.set("C_Sign rv 0x30 1");
    assert_eq!(client.ask("sign release"), "Sign: DeviceError");
    assert_eq!(client.ask("sign release"), "SignInit: OperationActive");

    // The count goes on in another process, and anew with the next rules.
    let again = || {
        let mut client = Client::of(&token);
        client.ask("login")
    };
    faults.set("C_Login rv 0xa0 2\nC_Login count");
    assert_eq!(again(), "Login: PinIncorrect");
    assert_eq!(again(), "Login: PinIncorrect");
    assert_eq!(again(), "ok");
    assert_eq!(faults.used(1), 3);
    faults.set("C_Login late 0x30");
    assert_eq!(again(), "Login: DeviceError");
    faults.set("* rv 0x32");
    assert_eq!(again(), "Initialize: DeviceRemoved");
    faults.clear();
    assert_eq!(again(), "ok");
}

#[test]
fn a_token_lies_when_it_is_told_to() {
    let mut token = Token::soft_hsm("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    let real = token.slot().id;
    let faults = Faults::before(&mut token);
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");

    faults.set("C_Sign corrupt");
    assert_eq!(client.ask("sign release"), "64 bytes, WRONG");
    faults.set("C_Sign short");
    assert_eq!(client.ask("sign release"), "63 bytes, WRONG");
    faults.set("C_GetTokenInfo flags 0x20000");
    assert_eq!(client.ask("flags"), "final-try");
    faults.set("C_GetSlotList empty");
    assert_eq!(client.ask("slots"), "");
    faults.set("C_GetSlotList renumber 7");
    assert_eq!(client.ask("slots"), format!("{}=bed", real + 7));
    assert_eq!(
        client.ask("login"),
        "Login: UserAlreadyLoggedIn",
        "found by its new number"
    );
    faults.clear();
    assert_eq!(client.ask("sign release"), GOOD);
    assert_eq!(client.ask("flags"), "");
}

#[test]
fn a_module_hangs_or_takes_its_process_with_it() {
    let mut token = Token::soft_hsm("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    let faults = Faults::before(&mut token);
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    faults.set("C_Sign delay 200");
    assert_eq!(client.ask_for_millis("sign release", 100), None);
    assert_eq!(client.answer(), GOOD, "late");
    faults.set("C_Sign hang");
    assert_eq!(client.ask_for_millis("sign release", 300), None);
    faults.set("C_Initialize abort 1");
    assert_eq!(Client::of(&token).ask("login"), "ended");
    assert_eq!(Client::of(&token).ask("login"), "ok");
}

#[test]
fn a_link_is_cut_frozen_and_restored() {
    let mut token = Token::soft_hsm("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    let link = Link::before(&mut token);
    let signs = || {
        let mut client = Client::of(&token);
        assert_eq!(client.ask("login"), "ok");
        assert_eq!(client.ask("sign release"), GOOD);
        client
    };

    let mut client = signs();
    link.cut();
    assert_eq!(client.ask("sign release"), "SignInit: DeviceError");
    assert_eq!(
        client.ask("sign release"),
        "SignInit: DeviceError",
        "it never heals"
    );
    drop(client);

    let mut client = signs();
    link.freeze();
    assert_eq!(client.ask_for_millis("sign release", 300), None);
    link.thaw();
    assert_eq!(client.answer(), GOOD);
    drop(client);

    link.stop_server();
    let failed = Client::of(&token).ask("slots");
    assert!(
        failed.is_empty() || failed.starts_with("Initialize: "),
        "{failed}"
    );
    link.start_server();
    drop(signs());
    link.stop_tunnel();
    assert_eq!(Client::of(&token).ask("slots"), "", "no slots, and no error");
    link.start_tunnel();
    drop(signs());
}

#[test]
fn kryoptic_signs_with_ml_dsa_and_locks_its_pin_at_the_tenth_try() {
    let Some(token) = Token::kryoptic("bed") else {
        return;
    };
    token.generate(Kind::EcdsaP256, "release", "01");
    token.generate(Kind::Ed25519, "nightly", "02");
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("sign release"), GOOD);
    assert_eq!(client.ask("point release"), "67 bytes");
    assert_eq!(client.ask("sign nightly"), GOOD);
    assert_eq!(client.ask("point nightly"), "32 bytes");
    assert_eq!(client.ask("ml-dsa future"), "3309 bytes, verified");
    drop(client);

    let token = token.wrapping_points();
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("point nightly"), "34 bytes");
    drop(client);

    let mut client = Client::of(&token);
    let flags: Vec<String> = (0..10)
        .map(|_| {
            client.ask("login 00000000");
            client.ask("flags")
        })
        .collect();
    assert_eq!(flags.last().map(String::as_str), Some("locked"), "{flags:?}");
    assert!(flags.contains(&"final-try".to_owned()) && flags.contains(&"count-low".to_owned()));
    assert_eq!(client.ask("login"), "Login: PinLocked");
}

#[test]
fn nss_is_a_third_vendor() {
    let token = Token::nss("bed");
    token.generate(Kind::EcdsaP256, "release", "01");
    let mut client = Client::of(&token);
    assert_eq!(client.ask("login"), "ok");
    assert_eq!(client.ask("sign release"), GOOD);
    assert_eq!(client.ask("find release"), "1 keys");
}

/// Not a test: the client's process.
#[test]
#[ignore = "the process that the other tests talk to"]
fn plain_client() {
    client::serve();
}
