//! Keys made, and keys found.

use stella_core::alg::Algorithm;
use stella_keys::aws_kms::Alias;
use stella_keys::{GenerateError, SignError, sign_verified};
use stella_testkit::aws_kms::{FakeKms, Fault, KeyState, REGION};

use crate::{client, impatient, reference};

#[test]
fn a_key_is_made_with_its_alias_and_signs() {
    let fake = FakeKms::start();
    let client = client(&fake);
    for algorithm in ["ed25519", "ecdsa-p256", "ml-dsa-65"] {
        let algorithm: Algorithm = algorithm.parse().expect("an algorithm");
        let alias: Alias = format!("stellaops-{algorithm}").parse().expect("an alias");
        assert_eq!(client.kms.find(&reference(&alias.full())), Ok(None));
        let made = client.kms.create(algorithm, &alias, "for a test").expect("a key");
        assert_eq!(made.public_key.algorithm(), algorithm);
        assert_eq!(Some(made.at.key_id()), fake.aliases().remove(&alias.full()));
        assert_eq!(client.kms.find(&reference(&alias.full())), Ok(Some(made.clone())));
        let key = client.kms.key(&made.at, made.public_key).expect("a signer");
        sign_verified(&key, b"message").expect("a signature");
    }
    assert_eq!(fake.descriptions(), ["for a test"; 3]);
}

#[test]
fn a_new_key_that_kms_does_not_know_everywhere_yet_is_waited_for() {
    let fake = FakeKms::start();
    let client = client(&fake);
    fake.learn_slowly(2);
    let key = client.create("ed25519", "default");
    sign_verified(&key, b"message").expect("a signature");
    assert_eq!(fake.aliases().len(), 1);
}

#[test]
fn an_existing_key_is_found_under_each_of_its_names() {
    let fake = FakeKms::start();
    let client = client(&fake);
    let id = fake.key("ECC_NIST_P256", "SIGN_VERIFY");
    fake.alias("ceremony/2026", &id);
    let arn = format!("arn:aws:kms:{REGION}:111122223333:key/{id}");
    let by_alias = format!("arn:aws:kms:{REGION}:111122223333:alias/ceremony/2026");
    for (name, at) in [
        ("ceremony/2026", &id),
        (&id, &id),
        // Another account's: its id alone would not reach it.
        (&arn, &arn),
        (&by_alias, &arn),
    ] {
        let found = client
            .kms
            .find(&reference(name))
            .expect("an answer")
            .expect("the key");
        assert_eq!((found.at.key_id(), &found.arn), (at.clone(), &arn), "{name}");
        let key = client.kms.key(&found.at, found.public_key).expect("a signer");
        sign_verified(&key, b"message").expect(name);
    }
}

#[test]
fn a_key_that_cannot_sign_for_us_is_refused_with_what_it_is() {
    let fake = FakeKms::start();
    let client = client(&fake);
    for (spec, usage, says) in [
        ("ECC_NIST_P384", "SIGN_VERIFY", "ECC_NIST_P384"),
        ("ECC_NIST_P256", "KEY_AGREEMENT", "does not sign"),
    ] {
        let id = fake.key(spec, usage);
        let error = client.kms.find(&reference(&id)).expect_err("no signing key");
        assert_eq!(error.code(), "signer.key-missing");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("describe-key --key-id"), "{error}");
    }
    let gost: Algorithm = "gost2012-256".parse().expect("an algorithm");
    let refused = client.kms.create(gost, &"gost".parse().expect("an alias"), "");
    assert_eq!(refused, Err(GenerateError::UnsupportedAlgorithm(gost)));
}

#[test]
fn a_key_that_is_there_and_disabled_is_not_taken_for_one_that_is_not_there() {
    let fake = FakeKms::start();
    let client = client(&fake);
    client.create("ed25519", "default");
    fake.set_state("alias/default", KeyState::Disabled);
    let error = client.kms.find(&reference("default")).expect_err("disabled");
    assert!(error.to_string().contains("aws kms enable-key"), "{error}");
}

#[test]
fn two_who_make_the_same_key_at_once_get_one_alias_and_a_command_for_the_rest() {
    let fake = FakeKms::start();
    let client = client(&fake);
    let earlier = fake.key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY");
    fake.alias("default", &earlier);
    let refused = client
        .kms
        .create(
            "ed25519".parse().expect("an algorithm"),
            &"default".parse().expect("an alias"),
            "",
        )
        .expect_err("the alias is taken");
    let text = refused.to_string();
    assert!(text.contains("AlreadyExistsException"), "{text}");
    assert!(
        text.contains("aws kms schedule-key-deletion --key-id 1234abcd"),
        "{text}"
    );
    assert_eq!(
        fake.aliases().get("alias/default"),
        Some(&earlier),
        "nobody's alias is moved"
    );
}

#[test]
fn making_a_key_is_not_repeated_when_nobody_knows_whether_it_was_made() {
    for fault in [Fault::CutAfterDoing, Fault::Status(503), Fault::Hang] {
        let fake = FakeKms::start();
        let client = impatient(&fake, std::time::Duration::from_secs(1));
        fake.next([fault.clone()]);
        let alias = "default".parse().expect("an alias");
        let made = client
            .kms
            .create("ed25519".parse().expect("an algorithm"), &alias, "");
        assert!(made.is_err(), "{fault:?}");
        assert_eq!(fake.operations(), ["CreateKey"], "{fault:?}");
    }
    // What was throttled was not done.
    let fake = FakeKms::start();
    fake.next([Fault::Throttled, Fault::Throttled]);
    client(&fake).create("ed25519", "default");
    assert_eq!(fake.descriptions().len(), 1);
}

#[test]
fn an_alias_that_was_moved_to_another_key_signs_nothing_in_the_name_of_the_old() {
    let fake = FakeKms::start();
    let client = client(&fake);
    client.create("ed25519", "default");
    let found = client
        .kms
        .find(&reference("default"))
        .expect("an answer")
        .expect("the key");
    let by_alias = client
        .kms
        .key(&reference("default"), found.public_key.clone())
        .expect("a signer");
    let by_id = client.kms.key(&found.at, found.public_key).expect("a signer");
    fake.alias("default", &fake.key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"));
    assert_eq!(
        sign_verified(&by_alias, b"message"),
        Err(SignError::DoesNotVerify)
    );
    sign_verified(&by_id, b"message").expect("the key itself is where it was");
}
