//! Between what the product signs and reads, and what mechanisms do.

use std::borrow::Cow;

use sm3::Sm3;
use stella_core::alg::PublicKey;
use stella_core::alg::sm2_p256::{USER_ID, signature_der};
use stella_core::digest::Sha256;
use streebog::{Digest, Streebog256};

use super::message::{ECDSA_P256, GOST, SM2};
use crate::hsm::MechanismInput;

/// What is handed to the token.
pub(super) fn input<'a>(key: &PublicKey, input: MechanismInput, message: &'a [u8]) -> Cow<'a, [u8]> {
    match (input, key.algorithm().id()) {
        (MechanismInput::Message, _) => message.into(),
        (MechanismInput::Digest, ECDSA_P256) => Sha256::of(message).as_bytes().to_vec().into(),
        (MechanismInput::Digest, GOST) => Streebog256::digest(message).to_vec().into(),
        (MechanismInput::Digest, SM2) => sm2_digest(key.raw(), message).into(),
        // Ed25519 and ML-DSA hash the message in their own middle.
        (MechanismInput::Digest, _) => message.into(),
    }
}

/// A signature of the token in the form that [`PublicKey::verify`] reads.
/// `None` when it has not the length of one.
pub(super) fn signature(key: &PublicKey, message: &[u8], made: Vec<u8>) -> Option<Vec<u8>> {
    let halves = |made: &[u8]| made.try_into().ok().and_then(|halves| signature_der(halves).ok());
    match key.algorithm().id() {
        // PKCS#11 has r and s, one after the other.
        ECDSA_P256 => halves(&made),
        // It does not speak of SM2, and vendors do either.
        SM2 => halves(&made).or(Some(made)),
        // And of GOST without saying which half is first.
        GOST if made.len() == 64 && key.verify(message, &made).is_err() => {
            Some([&made[32..], &made[..32]].concat())
        }
        _ => Some(made),
    }
}

/// SM3 over Z and the message (GB/T 32918.2 section 6.1), Z being that of the
/// user id and the key.
fn sm2_digest(point: &[u8], message: &[u8]) -> Vec<u8> {
    let bits = u16::try_from(USER_ID.len() * 8).unwrap_or_default();
    let z = Sm3::new()
        .chain_update(bits.to_be_bytes())
        .chain_update(USER_ID)
        .chain_update(SM2_CURVE)
        .chain_update(point.get(1..).unwrap_or_default())
        .finalize();
    Sm3::new()
        .chain_update(z)
        .chain_update(message)
        .finalize()
        .to_vec()
}

/// a, b and the generator of the curve (GB/T 32918.5).
const SM2_CURVE: [u8; 128] = *b"\
\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc\
\x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\
\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93\
\x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\
\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7\
\xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\
\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::software::SoftwareStore;
    use crate::{Generate, Sign};
    use sm2::dsa::signature::hazmat::PrehashVerifier;

    fn key(name: &str) -> crate::software::SoftwareKey {
        SoftwareStore
            .generate(name.parse().expect("algorithm"))
            .expect("key")
    }

    #[test]
    fn the_digest_of_sm2_is_the_one_that_is_verified() {
        let key = key("sm2");
        let signature = key.sign(b"message").expect("signature");
        let digest = input(key.public_key(), MechanismInput::Digest, b"message");
        let verifier =
            sm2::dsa::VerifyingKey::from_sec1_bytes(USER_ID, key.public_key().raw()).expect("verifier");
        let signature = sm2::dsa::Signature::from_der(&signature).expect("signature");
        assert!(verifier.verify_prehash(&digest, &signature).is_ok());
        assert!(verifier.verify_prehash(&digest[..31], &signature).is_err());
    }

    #[test]
    fn halves_become_what_verifies() {
        for name in ["p256", "sm2"] {
            let key = key(name);
            let der = key.sign(b"message").expect("signature");
            let halves = sm2::dsa::Signature::from_der(&der)
                .expect("halves")
                .to_bytes()
                .to_vec();
            assert_eq!(signature(key.public_key(), b"message", halves.clone()), Some(der));
            let shorter = signature(key.public_key(), b"message", halves[1..].to_vec());
            assert!(shorter.is_none_or(|s| key.public_key().verify(b"message", &s).is_err()));
        }
    }

    #[test]
    fn either_order_of_the_halves_of_gost_is_read() {
        let key = key("gost2012-256");
        let right = key.sign(b"message").expect("signature");
        let swapped = [&right[32..], &right[..32]].concat();
        for made in [right.clone(), swapped] {
            assert_eq!(signature(key.public_key(), b"message", made), Some(right.clone()));
        }
    }
}
