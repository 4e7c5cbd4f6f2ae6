//! Ed25519. What exactly is accepted: docs/design/ed25519-verification.md.

use aws_lc_rs::signature::ED25519;
use ed25519_dalek::VerifyingKey;
use spki::ObjectIdentifier;

use super::{KeyRefusal, Scheme, SpkiParts, Verify, aws_lc_verifier, spki_without_parameters};

pub(super) struct Ed25519;

impl Scheme for Ed25519 {
    fn id(&self) -> &'static str {
        "SHA256-ED25519"
    }

    fn short_names(&self) -> &'static [&'static str] {
        &["ed25519"]
    }

    fn standard(&self) -> &'static str {
        "RFC 8032, pure Ed25519"
    }

    fn provider(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn key_details(&self) -> Option<&'static str> {
        Some("PKIX_ED25519")
    }

    /// RFC 8410 section 3.
    fn oid(&self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap("1.3.101.112")
    }

    fn accept_key(&self, parts: &SpkiParts<'_>) -> Result<Vec<u8>, KeyRefusal> {
        // RFC 8410 section 3: the parameters MUST be absent.
        if parts.identifier.parameters.is_some() {
            return Err(KeyRefusal::Malformed("an Ed25519 key takes no parameters"));
        }
        let raw: &[u8; 32] = parts
            .key
            .try_into()
            .map_err(|_| KeyRefusal::Malformed("an Ed25519 public key has 32 bytes"))?;
        let key = VerifyingKey::from_bytes(raw)
            .map_err(|_| KeyRefusal::Malformed("not a point of the Ed25519 curve"))?;
        // The identity and its seven companions verify trivial signatures over
        // any message, here as in every RFC 8032 verifier.
        if key.is_weak() {
            return Err(KeyRefusal::Weak(
                "a point of small order, for which anyone can sign",
            ));
        }
        if key.to_edwards().compress().as_bytes() != raw {
            return Err(KeyRefusal::Malformed(
                "the Ed25519 point is not in its canonical encoding",
            ));
        }
        Ok(raw.to_vec())
    }

    fn spki_der(&self, raw: &[u8]) -> der::Result<Vec<u8>> {
        spki_without_parameters(self.oid(), raw)
    }

    fn verifier(&self, raw: &[u8]) -> Option<Box<dyn Verify>> {
        aws_lc_verifier(&ED25519, raw)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use crate::alg::{Algorithm, KeyError, PublicKey};

    #[test]
    fn verifies_the_vector_of_rfc_8032() {
        // Section 7.1, TEST 3.
        let key = key("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025").expect("key");
        let signature = hex::decode(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        )
        .expect("hex");
        assert_eq!(key.verify(&[0xaf, 0x82], &signature), Ok(()));
        assert!(key.verify(&[0xaf, 0x83], &signature).is_err());
        assert!(key.verify(&[0xaf, 0x82], &signature[..63]).is_err());
        let mut flipped = signature;
        flipped[0] ^= 1;
        assert!(key.verify(&[0xaf, 0x82], &flipped).is_err());
    }

    #[test]
    fn a_second_signature_made_by_adding_the_group_order_is_refused() {
        let key = key("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025").expect("key");
        let mut signature = hex::decode(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        )
        .expect("hex");
        let order =
            hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").expect("hex");
        let mut carry = 0;
        for (s, l) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*s) + u16::from(l) + carry;
            *s = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(key.verify(&[0xaf, 0x82], &signature).is_err());
    }

    #[test]
    fn keys_that_anyone_signs_for_are_weak_and_other_non_keys_malformed() {
        let identity = "0100000000000000000000000000000000000000000000000000000000000000";
        assert_eq!(key(identity).expect_err("weak").code(), "key.weak");
        for (raw, said) in [
            // y = 2 has no x.
            (
                "0200000000000000000000000000000000000000000000000000000000000000",
                "not a point",
            ),
            // y = p + 3: a second encoding of y = 3.
            (
                "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                "canonical",
            ),
            ("01", "32 bytes"),
        ] {
            let error = key(raw).expect_err(said);
            assert_eq!(error.code(), "key.malformed");
            assert!(error.to_string().contains(said), "{raw}: {error}");
        }
        let three = "0300000000000000000000000000000000000000000000000000000000000000";
        assert!(key(three).is_ok());
    }

    /// The rule of docs/design/ed25519-verification.md against the edge cases
    /// of C2SP CCTV, flag by flag.
    #[test]
    fn accepts_exactly_what_the_design_note_says() {
        let Ok(folder) = std::env::var("STELLA_VECTORS") else {
            println!("skipped: STELLA_VECTORS is not set");
            return;
        };
        let path = format!("{folder}/ed25519/ed25519vectors.json");
        let cases: Vec<Case> =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("vectors")).expect("json");
        assert!(cases.len() > 900, "{}", cases.len());

        let mut seen = BTreeMap::<&str, usize>::new();
        for case in &cases {
            let flags: Vec<&str> = case.flags.iter().flatten().map(String::as_str).collect();
            let key_refused = flags
                .iter()
                .any(|f| ["low_order_A", "non_canonical_A"].contains(f));
            let signature_refused = flags
                .iter()
                .any(|f| ["low_order_residue", "non_canonical_R", "reencoded_k"].contains(f));
            let expected = match (key_refused, signature_refused) {
                (true, _) => "key refused",
                (false, true) => "signature refused",
                (false, false) => "accepted",
            };
            let actual = match key(&case.key) {
                Err(_) => "key refused",
                Ok(key) => {
                    let signature = hex::decode(&case.sig).expect("hex");
                    match key.verify(case.msg.as_bytes(), &signature) {
                        Err(_) => "signature refused",
                        Ok(()) => "accepted",
                    }
                }
            };
            assert_eq!(actual, expected, "case {} {flags:?}", case.number);
            *seen.entry(actual).or_default() += 1;
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
    }

    #[derive(Deserialize)]
    struct Case {
        number: usize,
        key: String,
        sig: String,
        msg: String,
        flags: Option<Vec<String>>,
    }

    fn key(hex_digits: &str) -> Result<PublicKey, KeyError> {
        let algorithm: Algorithm = "ed25519".parse().expect("algorithm");
        PublicKey::from_raw(algorithm, &hex::decode(hex_digits).expect("hex"))
    }
}
