//! ML-DSA-65, the pure form with the empty context.

use aws_lc_rs::signature::{ML_DSA_65, UnparsedPublicKey};
use spki::ObjectIdentifier;

use super::{KeyRefusal, Scheme, SpkiParts, Verify, aws_lc_verifier, spki_without_parameters};

pub(super) struct MlDsa65;

/// FIPS 204 table 2.
const PUBLIC_KEY_LEN: usize = 1952;
/// The seed rho in front of t1, FIPS 204 algorithm 22.
const RHO_LEN: usize = 32;

impl Scheme for MlDsa65 {
    fn id(&self) -> &'static str {
        "ML-DSA-65"
    }

    fn short_names(&self) -> &'static [&'static str] {
        &["ml-dsa-65", "mldsa65"]
    }

    fn standard(&self) -> &'static str {
        "FIPS 204, pure ML-DSA-65, empty context"
    }

    fn provider(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn key_details(&self) -> Option<&'static str> {
        Some("ML_DSA_65")
    }

    /// RFC 9881 section 3.
    fn oid(&self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18")
    }

    fn accept_key(&self, parts: &SpkiParts<'_>) -> Result<Vec<u8>, KeyRefusal> {
        // RFC 9881 section 3: the parameters MUST be absent.
        if parts.identifier.parameters.is_some() {
            return Err(KeyRefusal::Malformed("an ML-DSA-65 key takes no parameters"));
        }
        if parts.key.len() != PUBLIC_KEY_LEN {
            return Err(KeyRefusal::Malformed("an ML-DSA-65 public key has 1952 bytes"));
        }
        // With t1 = 0 the challenge drops out of the verification equation, so
        // that any short vector is a signature.
        if parts.key.iter().skip(RHO_LEN).all(|byte| *byte == 0) {
            return Err(KeyRefusal::Weak(
                "an ML-DSA key whose t1 is zero, for which anyone can sign",
            ));
        }
        UnparsedPublicKey::new(&ML_DSA_65, parts.key)
            .parse()
            .map_err(|_| KeyRefusal::Malformed("not an ML-DSA-65 public key"))?;
        Ok(parts.key.to_vec())
    }

    fn spki_der(&self, raw: &[u8]) -> der::Result<Vec<u8>> {
        spki_without_parameters(self.oid(), raw)
    }

    fn verifier(&self, raw: &[u8]) -> Option<Box<dyn Verify>> {
        aws_lc_verifier(&ML_DSA_65, raw)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair};

    use crate::alg::{Algorithm, PublicKey};

    #[test]
    fn verifies_a_signature_over_exactly_its_message() {
        let (pair, public_key) = pair();
        let mut signature = vec![0; ML_DSA_65_SIGNING.signature_len()];
        pair.sign(b"message", &mut signature).expect("signature");
        assert_eq!(signature.len(), 3309);
        assert_eq!(public_key.verify(b"message", &signature), Ok(()));
        assert!(public_key.verify(b"massage", &signature).is_err());
        assert!(public_key.verify(b"message", &signature[1..]).is_err());
        signature[100] ^= 1;
        assert!(public_key.verify(b"message", &signature).is_err());
    }

    #[test]
    fn refuses_keys_of_another_length_and_the_key_without_t1() {
        let (_, public_key) = pair();
        let raw = &public_key.spki_der()[public_key.spki_der().len() - 1952..];
        assert!(PublicKey::from_raw(public_key.algorithm(), raw).is_ok());
        let short = PublicKey::from_raw(public_key.algorithm(), &raw[1..]);
        assert_eq!(short.expect_err("short").code(), "key.malformed");
        let mut without_t1 = raw.to_vec();
        without_t1[32..].fill(0);
        let weak = PublicKey::from_raw(public_key.algorithm(), &without_t1);
        assert_eq!(weak.expect_err("weak").code(), "key.weak");
    }

    fn pair() -> (PqdsaKeyPair, PublicKey) {
        let pair = PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &[7; 32]).expect("pair");
        let algorithm: Algorithm = "ml-dsa-65".parse().expect("algorithm");
        let public_key = PublicKey::from_raw(algorithm, pair.public_key().as_ref()).expect("key");
        (pair, public_key)
    }
}
