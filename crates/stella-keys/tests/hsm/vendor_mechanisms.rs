//! SM2 and GOST R 34.10-2012 through mechanisms that only their vendor knows,
//! at numbers from the configuration.

use std::sync::atomic::{AtomicU32, Ordering};

use stella_core::alg::Algorithm;
use stella_keys::conformance::conformance;
use stella_keys::hsm::{Hsm, MechanismInput, VendorMechanism};
use stella_keys::{GenerateError, SignError, sign_verified};
use stella_testkit::token::Faults;

use super::bed::{Bed, token};

/// What this token has of its own, as a vendor's documentation would list it.
const OFFERED: &str = "
C_GenerateKeyPair sm2 0x80000A00
C_SignInit sm2 0x80000A01
C_SignInit sm2-message 0x80000A02
C_GenerateKeyPair gost 0xD4321005
C_SignInit gost 0xD4321006
C_SignInit gost-message 0xD4321008
";

const SM2: VendorMechanism = VendorMechanism {
    sign: 0x8000_0A01,
    generate: Some(0x8000_0A00),
    key_type: CKK_EC,
    input: MechanismInput::Digest,
};

const GOST: VendorMechanism = VendorMechanism {
    sign: 0xD432_1006,
    generate: Some(0xD432_1005),
    key_type: CKK_GOSTR3410,
    input: MechanismInput::Digest,
};

#[test]
fn sm2_and_gost_pass_the_suite() {
    let (sm2, gost) = passes(OFFERED, SM2, GOST);
    assert_eq!(sm2, "CKM_VENDOR_DEFINED 0x80000A01");
    assert_eq!(gost, "CKM_VENDOR_DEFINED 0xD4321006");
}

#[test]
fn tokens_that_hash_and_types_of_the_vendors_own_pass_it_too() {
    let sm2 = VendorMechanism {
        sign: 0x8000_0A02,
        input: MechanismInput::Message,
        ..SM2
    };
    let gost = VendorMechanism {
        sign: 0xD432_1008,
        input: MechanismInput::Message,
        key_type: 0xD432_1003,
        ..GOST
    };
    let typed = format!("{OFFERED}C_GetAttributeValue gost 0xD4321003\n");
    let (sm2, gost) = passes(&typed, sm2, gost);
    assert_eq!(sm2, "CKM_VENDOR_DEFINED 0x80000A02");
    assert_eq!(gost, "CKM_VENDOR_DEFINED 0xD4321008");
}

#[test]
fn a_key_is_found_again_by_another_process_and_told_by_its_type() {
    let (bed, _faults) = bed();
    let hsm = start(&bed, SM2, GOST);
    for name in ["sm2", "gost2012-256"] {
        let (at, public_key) = hsm
            .generate(&token("stella"), name, algorithm(name))
            .expect("key");
        let later = start(&bed, SM2, GOST);
        let found = later.find(&at).expect("found");
        assert_eq!(found.public_key.as_ref(), Some(&public_key));
        assert_eq!(found.key_type, algorithm(name).id());
        assert_eq!((found.sensitive, found.extractable), (Some(true), Some(false)));
        let key = later.key(&at, &public_key).expect("key");
        sign_verified(&*key, b"message").expect("signature");
    }
}

#[test]
fn a_wrong_number_is_an_error_that_names_the_setting() {
    let (bed, _faults) = bed();
    let right = start(&bed, SM2, GOST);
    let (at, public_key) = right
        .generate(&token("stella"), "sm2", algorithm("sm2"))
        .expect("key");
    let refused = |mechanism: VendorMechanism| {
        let hsm = start(&bed, mechanism, GOST);
        let key = hsm.key(&at, &public_key).expect("it is there");
        match key.sign(b"message") {
            Err(SignError::Refused(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    let unknown = refused(VendorMechanism {
        sign: 0x8000_0BAD,
        ..SM2
    });
    assert!(
        unknown.contains(
            "hsm.modules.primary.mechanisms.SM2-P256.sign is 0x80000BAD, which this token does not have"
        ),
        "{unknown}"
    );
    assert!(
        unknown.contains("C_SignInit") && unknown.contains("CKR_MECHANISM_INVALID"),
        "{unknown}"
    );
    let of_gost = refused(VendorMechanism {
        sign: GOST.sign,
        ..SM2
    });
    assert!(
        of_gost.contains(
            "hsm.modules.primary.mechanisms.SM2-P256.sign is 0xD4321006, which is not for keys of this type"
        ),
        "{of_gost}"
    );
    let hashed_by_nobody = refused(VendorMechanism {
        input: MechanismInput::Message,
        ..SM2
    });
    assert!(
        hashed_by_nobody.contains("hsm.modules.primary.mechanisms.SM2-P256.input is message")
            && hashed_by_nobody.contains("CKR_DATA_LEN_RANGE"),
        "{hashed_by_nobody}"
    );

    let hsm = start(
        &bed,
        SM2,
        VendorMechanism {
            generate: Some(0xD432_1BAD),
            ..GOST
        },
    );
    let made = hsm.generate(&token("stella"), "gost", algorithm("gost2012-256"));
    let Err(GenerateError::Refused(text)) = made else {
        panic!("{made:?}");
    };
    assert!(
        text.contains("hsm.modules.primary.mechanisms.GOST-R-34.10-2012.generate is 0xD4321BAD"),
        "{text}"
    );
    // It is the request that is wrong, and not the module.
    assert_eq!(hsm.status().restarts, 0);
}

#[test]
fn a_session_that_was_lost_is_mended_and_a_wrong_signature_never_comes_out() {
    let (bed, faults) = bed();
    let hsm = start(&bed, SM2, GOST);
    for name in ["sm2", "gost2012-256"] {
        let (at, public_key) = hsm
            .generate(&token("stella"), name, algorithm(name))
            .expect("key");
        let key = hsm.key(&at, &public_key).expect("key");
        for lost in ["C_SignInit close-all 1", "C_Sign rv 0x90 1"] {
            faults.set(&format!("{OFFERED}{lost}"));
            sign_verified(&*key, b"message").unwrap_or_else(|e| panic!("{name}, {lost}: {e}"));
        }
        for wrong in ["C_Sign corrupt", "C_Sign short"] {
            faults.set(&format!("{OFFERED}{wrong}"));
            assert_eq!(
                sign_verified(&*key, b"message"),
                Err(SignError::DoesNotVerify),
                "{name}, {wrong}"
            );
        }
        faults.set(OFFERED);
    }
}

/// Answers with the names of the mechanisms.
fn passes(offered: &str, sm2: VendorMechanism, gost: VendorMechanism) -> (String, String) {
    let (bed, faults) = bed();
    faults.set(offered);
    let hsm = start(&bed, sm2, gost);
    let made = AtomicU32::new(0);
    let names = [SM2_ID, GOST_ID].map(|id| {
        let mut mechanism = String::new();
        let seen = std::sync::Mutex::new(&mut mechanism);
        conformance(|algorithm| {
            if algorithm.id() != id {
                return None;
            }
            let label = format!("key-{}", made.fetch_add(1, Ordering::Relaxed));
            let (at, public_key) = hsm.generate(&token("stella"), &label, algorithm).expect("made");
            let key = hsm.key(&at, &public_key).expect("the key that was made");
            **seen.lock().expect("no panic before") = key.describe().mechanism;
            Some(key)
        });
        mechanism
    });
    names.into()
}

fn bed() -> (Bed, Faults) {
    let (bed, faults) = Bed::faulty();
    faults.set(OFFERED);
    (bed, faults)
}

fn start(bed: &Bed, sm2: VendorMechanism, gost: VendorMechanism) -> impl Hsm {
    let mut options = bed.options();
    options.mechanisms = [(algorithm("sm2"), sm2), (algorithm("gost2012-256"), gost)].into();
    bed.start_with(options)
}

fn algorithm(name: &str) -> Algorithm {
    name.parse().expect("algorithm")
}

const SM2_ID: &str = "SM2-P256";
const GOST_ID: &str = "GOST-R-34.10-2012";
/// `CK_KEY_TYPE`.
const CKK_EC: u64 = 0x03;
const CKK_GOSTR3410: u64 = 0x30;
