//! ECDSA over NIST P-256 with SHA-256, signatures in DER.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, UnparsedPublicKey};
use der::Encode;
use der::asn1::{AnyRef, BitStringRef};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{BadSignature, KeyRefusal, Scheme, SpkiParts, Verify};
use crate::digest::Hashed;

/// Signatures are malleable: with (r, s) also (r, n - s) verifies, and both
/// are in use (OpenSSL and most tokens do not reduce s). A signature is
/// therefore never the identity of anything.
pub(super) struct EcdsaP256;

/// RFC 5480 section 2.1.1.1.
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

impl Scheme for EcdsaP256 {
    fn id(&self) -> &'static str {
        "SHA256-ECDSA-P256"
    }

    fn short_names(&self) -> &'static [&'static str] {
        &["ecdsa-p256", "p256", "ecdsa-p256-sha256"]
    }

    fn standard(&self) -> &'static str {
        "FIPS 186-5, ECDSA P-256 with SHA-256, DER"
    }

    fn provider(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn key_details(&self) -> Option<&'static str> {
        Some("PKIX_ECDSA_P256_SHA_256")
    }

    /// id-ecPublicKey, RFC 5480 section 2.1.1.
    fn oid(&self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap("1.2.840.10045.2.1")
    }

    fn claims(&self, identifier: &AlgorithmIdentifierRef<'_>) -> bool {
        identifier.oid == self.oid() && identifier.parameters_oid() == Ok(SECP256R1)
    }

    fn accept_key(&self, parts: &SpkiParts<'_>) -> Result<Vec<u8>, KeyRefusal> {
        // SEC 1 section 2.3.3. A compressed point would be a second SPKI of
        // the same key.
        match (parts.key.first(), parts.key.len()) {
            (Some(0), 1) => return Err(KeyRefusal::Weak("the point at infinity")),
            (Some(2 | 3), 33) => {
                return Err(KeyRefusal::Malformed(
                    "the P-256 point is compressed, write it in full: \
                     openssl pkey -pubin -ec_conv_form uncompressed -in FILE",
                ));
            }
            (Some(4), 65) => {}
            _ => {
                return Err(KeyRefusal::Malformed(
                    "a P-256 public key is an uncompressed point of 65 bytes",
                ));
            }
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, parts.key)
            .parse()
            .map_err(|_| KeyRefusal::Malformed("not a point of the curve P-256"))?;
        Ok(parts.key.to_vec())
    }

    fn spki_der(&self, raw: &[u8]) -> der::Result<Vec<u8>> {
        SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef {
                oid: self.oid(),
                parameters: Some(AnyRef::from(&SECP256R1)),
            },
            subject_public_key: BitStringRef::from_bytes(raw)?,
        }
        .to_der()
    }

    fn verifier(&self, raw: &[u8]) -> Option<Box<dyn Verify>> {
        let parsed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, raw)
            .parse()
            .ok()?;
        Some(Box::new(Parsed(parsed)))
    }
}

struct Parsed(ParsedPublicKey);

impl Verify for Parsed {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.0.verify(message, signature)
    }

    fn verify_hashed(&self, message: &Hashed, signature: &[u8]) -> Result<(), BadSignature> {
        let digest =
            Digest::import_less_safe(message.sha256().as_bytes(), &SHA256).map_err(|_| BadSignature)?;
        self.0
            .verify_digest_sig(&digest, signature)
            .map_err(|_| BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::UintRef;
    use der::{Decode, Encode, Reader, SliceReader};

    use crate::alg::{Algorithm, KeyError, PublicKey};
    use crate::digest::Hashed;

    /// RFC 6979 appendix A.2.5, SHA-256, message "sample".
    const X: &str = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
    const Y: &str = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    const R: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
    const S: &str = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
    const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

    #[test]
    fn verifies_the_vector_of_rfc_6979() {
        let key = key(&format!("04{X}{Y}")).expect("key");
        let signature = signature(&bytes(R), &bytes(S));
        assert_eq!(key.verify(b"sample", &signature), Ok(()));
        assert!(key.verify(b"test", &signature).is_err());
        let hashed = |text: &[u8]| Hashed::of(text.to_vec());
        assert_eq!(key.verify_hashed(&hashed(b"sample"), &signature), Ok(()));
        assert!(key.verify_hashed(&hashed(b"test"), &signature).is_err());
        let mut longer = signature.clone();
        longer.push(0);
        assert!(key.verify(b"sample", &longer).is_err(), "trailing byte");
        let raw = [bytes(R), bytes(S)].concat();
        assert!(key.verify(b"sample", &raw).is_err(), "r || s is not DER");
    }

    #[test]
    fn both_halves_of_the_group_are_accepted() {
        let key = key(&format!("04{X}{Y}")).expect("key");
        let low_s = subtract(&bytes(N), &bytes(S));
        assert_eq!(key.verify(b"sample", &signature(&bytes(R), &low_s)), Ok(()));
    }

    #[test]
    fn refuses_what_is_no_point() {
        let off_curve = format!("04{X}{}", Y.replace("7903", "7904"));
        assert_eq!(key(&off_curve).expect_err("off curve").code(), "key.malformed");
        assert_eq!(
            key(&format!("04{}", "00".repeat(64)))
                .expect_err("not on it")
                .code(),
            "key.malformed"
        );
        assert_eq!(key("00").expect_err("infinity").code(), "key.weak");
        // Hybrid form (ANSI X9.62): the same point written a third way.
        assert_eq!(
            key(&format!("07{X}{Y}")).expect_err("hybrid").code(),
            "key.malformed"
        );
    }

    #[test]
    fn a_compressed_point_is_refused_with_the_way_out() {
        let error = key(&format!("03{X}")).expect_err("compressed").to_string();
        assert!(error.contains("-ec_conv_form uncompressed"), "{error}");
    }

    #[test]
    fn a_coordinate_beyond_the_field_is_refused() {
        let p = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
        assert_eq!(
            key(&format!("04{p}{Y}")).expect_err("x = p").code(),
            "key.malformed"
        );
    }

    fn key(hex_digits: &str) -> Result<PublicKey, KeyError> {
        let algorithm: Algorithm = "p256".parse().expect("algorithm");
        PublicKey::from_raw(algorithm, &bytes(hex_digits))
    }

    fn bytes(hex_digits: &str) -> Vec<u8> {
        hex::decode(hex_digits).expect("hex")
    }

    fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut out = vec![0; a.len()];
        let mut borrow = 0;
        for i in (0..a.len()).rev() {
            let difference = i16::from(a[i]) - i16::from(b[i]) - borrow;
            borrow = i16::from(difference < 0);
            out[i] = difference.rem_euclid(256).to_le_bytes()[0];
        }
        out
    }

    /// Ecdsa-Sig-Value, RFC 3279 section 2.2.3.
    fn signature(r: &[u8], s: &[u8]) -> Vec<u8> {
        let (r, s) = (UintRef::new(r).expect("r"), UintRef::new(s).expect("s"));
        let body = [r.to_der().expect("der"), s.to_der().expect("der")].concat();
        let out = [vec![0x30, u8::try_from(body.len()).expect("short")], body].concat();
        let mut reader = SliceReader::new(&out).expect("reader");
        der::asn1::AnyRef::decode(&mut reader).expect("a sequence");
        assert!(reader.is_finished());
        out
    }
}
