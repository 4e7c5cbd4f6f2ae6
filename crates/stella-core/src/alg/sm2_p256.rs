//! SM2 with SM3 over the recommended curve, signatures in DER.
//!
//! Unaudited: the arithmetic is that of the crate `sm2`.

use der::asn1::{AnyRef, BitStringRef, UintRef};
use der::{Decode, Encode, Reader, SliceReader};
use sm2::dsa::signature::Verifier;
use sm2::dsa::{Signature, VerifyingKey};
use sm2::elliptic_curve::group::Group;
use sm2::{ProjectivePoint, PublicKey};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{BadSignature, KeyRefusal, Scheme, SpkiParts, Verify};

/// Like ECDSA, a signature is never the identity of anything: a signer makes
/// as many of one message as it likes.
pub(super) struct Sm2P256;

/// The identity that is hashed before the message, of every key of this
/// algorithm: GM/T 0009-2012 section 10. A key record holds no identity, so
/// another one would be another algorithm with a name of its own.
pub const USER_ID: &str = "1234567812345678";

/// GM/T 0006-2012.
const SM2P256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");

impl Scheme for Sm2P256 {
    fn id(&self) -> &'static str {
        "SM2-P256"
    }

    fn short_names(&self) -> &'static [&'static str] {
        &["sm2"]
    }

    fn standard(&self) -> &'static str {
        "GB/T 32918.2, SM2 with SM3, default user id, DER"
    }

    fn provider(&self) -> &'static str {
        "sm2"
    }

    fn unaudited(&self) -> bool {
        true
    }

    fn key_details(&self) -> Option<&'static str> {
        None
    }

    /// id-ecPublicKey, RFC 5480 section 2.1.1.
    fn oid(&self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap("1.2.840.10045.2.1")
    }

    fn claims(&self, identifier: &AlgorithmIdentifierRef<'_>) -> bool {
        identifier.oid == self.oid() && identifier.parameters_oid() == Ok(SM2P256V1)
    }

    fn accept_key(&self, parts: &SpkiParts<'_>) -> Result<Vec<u8>, KeyRefusal> {
        match (parts.key.first(), parts.key.len()) {
            (Some(0), 1) => return Err(KeyRefusal::Weak("the point at infinity")),
            (Some(2 | 3), 33) => {
                return Err(KeyRefusal::Malformed(
                    "the SM2 point is compressed, write it in full: \
                     openssl pkey -pubin -ec_conv_form uncompressed -in FILE",
                ));
            }
            (Some(4), 65) => {}
            _ => {
                return Err(KeyRefusal::Malformed(
                    "an SM2 public key is an uncompressed point of 65 bytes",
                ));
            }
        }
        let key = PublicKey::from_sec1_bytes(parts.key)
            .map_err(|_| KeyRefusal::Malformed("not a point of the SM2 curve"))?;
        // Private keys end at n - 2 (GB/T 32918.1 section 6.1): for n - 1 the
        // half s drops out of the verification, so that any s will do.
        if key.to_projective() == -ProjectivePoint::generator() {
            return Err(KeyRefusal::Weak("the key of the private key n - 1"));
        }
        Ok(parts.key.to_vec())
    }

    fn spki_der(&self, raw: &[u8]) -> der::Result<Vec<u8>> {
        SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef {
                oid: self.oid(),
                parameters: Some(AnyRef::from(&SM2P256V1)),
            },
            subject_public_key: BitStringRef::from_bytes(raw)?,
        }
        .to_der()
    }

    fn verifier(&self, raw: &[u8]) -> Option<Box<dyn Verify>> {
        let key = VerifyingKey::from_sec1_bytes(USER_ID, raw).ok()?;
        Some(Box::new(key))
    }
}

impl Verify for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = read_signature(signature).ok_or(BadSignature)?;
        Verifier::verify(self, message, &signature).map_err(|_| BadSignature)
    }
}

/// `SEQUENCE { r INTEGER, s INTEGER }` (GM/T 0009-2012 section 7.3), in the
/// one DER form it has, with both halves from 1 to n - 1.
fn read_signature(der: &[u8]) -> Option<Signature> {
    let mut reader = SliceReader::new(der).ok()?;
    let (r, s) = reader
        .sequence(|fields| {
            let halves = (UintRef::decode(fields)?, UintRef::decode(fields)?);
            Ok::<_, der::Error>(halves)
        })
        .ok()?;
    let mut halves = [0; 64];
    let (into_r, into_s) = halves.split_at_mut(32);
    for (half, into) in [(r, into_r), (s, into_s)] {
        let start = into.len().checked_sub(half.as_bytes().len())?;
        into.get_mut(start..)?.copy_from_slice(half.as_bytes());
    }
    let signature = Signature::from_slice(&halves).ok()?;
    (signature_der(&halves).ok()? == der).then_some(signature)
}

/// The DER of `r || s`, for whoever signs.
pub fn signature_der(halves: &[u8; 64]) -> der::Result<Vec<u8>> {
    let (r, s) = halves.split_at(32);
    let halves = [UintRef::new(r)?.to_der()?, UintRef::new(s)?.to_der()?].concat();
    AnyRef::new(der::Tag::Sequence, &halves)?.to_der()
}

#[cfg(test)]
mod tests {
    use crate::alg::{Algorithm, KeyError, PublicKey};

    /// GB/T 32918.5-2017 annex A.2 (GM/T 0003.5-2012 has the same): the
    /// recommended curve, the default user id, the message "message digest".
    const X: &str = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020";
    const Y: &str = "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
    const R: &str = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3";
    const S: &str = "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";
    const N: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";
    const G: &str = "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7";
    const MINUS_G_Y: &str = "43c8c95c0b098863a642311c9496deac2f56788239d5b8c0fd20cd1adec60f5f";

    #[test]
    fn verifies_the_example_of_the_standard() {
        let key = key(&format!("04{X}{Y}")).expect("key");
        let signature = signature(R, S);
        assert_eq!(key.verify(b"message digest", &signature), Ok(()));
        assert!(key.verify(b"message digest.", &signature).is_err());
        assert!(key.verify(b"message digest", &self::signature(S, R)).is_err());
    }

    #[test]
    fn a_signature_has_one_encoding() {
        let key = key(&format!("04{X}{Y}")).expect("key");
        let body = format!("022100{R}022100{S}");
        let with = |prefix: &str, body: &str| hex::decode(format!("{prefix}{body}")).expect("hex");
        assert_eq!(key.verify(b"message digest", &with("3046", &body)), Ok(()));
        for (changed, what) in [
            (with("", &format!("{R}{S}")), "r || s"),
            (with("308146", &body), "a length in its long form"),
            (with("3080", &format!("{body}0000")), "no length"),
            (with("3046", &format!("{body}00")), "a byte after it"),
            (with("3047", &format!("{body}00")), "a byte at its end"),
            (
                with("3047", &format!("02220000{R}022100{S}")),
                "a leading zero too many",
            ),
            (with("3045", &format!("0220{R}022100{S}")), "a negative r"),
            (with("3049", &format!("{body}020101")), "a third number"),
            (with("3023", &format!("022100{R}")), "one number"),
            (with("3046", &body[..138]), "a byte too few"),
            (Vec::new(), "nothing"),
        ] {
            assert!(key.verify(b"message digest", &changed).is_err(), "{what}");
        }
    }

    #[test]
    fn both_halves_are_from_one_to_the_order() {
        let key = key(&format!("04{X}{Y}")).expect("key");
        let zero = "0".repeat(64);
        let beyond = "f".repeat(64);
        for (r, s) in [
            (zero.as_str(), S),
            (R, zero.as_str()),
            (N, S),
            (R, N),
            (beyond.as_str(), S),
            // r + s = 0 modulo n
            (
                R,
                "0a5fc4f8b72d3b9cf1153aec1e447e5e18bf0532f9f04dea100f755c4aee2070",
            ),
        ] {
            assert!(key.verify(b"message digest", &signature(r, s)).is_err());
        }
    }

    #[test]
    fn refuses_what_is_no_point_and_what_no_private_key_has() {
        for (raw, code) in [
            (format!("04{X}{}", Y.replace("ccea", "cceb")), "key.malformed"),
            (format!("04{}", "00".repeat(64)), "key.malformed"),
            (format!("07{X}{Y}"), "key.malformed"),
            (format!("04{X}"), "key.malformed"),
            // x = p
            (
                format!("04fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff{Y}"),
                "key.malformed",
            ),
            ("00".to_owned(), "key.weak"),
            (format!("04{G}{MINUS_G_Y}"), "key.weak"),
        ] {
            assert_eq!(key(&raw).expect_err(&raw).code(), code, "{raw}");
        }
        let error = key(&format!("03{X}")).expect_err("compressed").to_string();
        assert!(error.contains("-ec_conv_form uncompressed"), "{error}");
    }

    fn key(hex_digits: &str) -> Result<PublicKey, KeyError> {
        let algorithm: Algorithm = "sm2".parse().expect("algorithm");
        PublicKey::from_raw(algorithm, &hex::decode(hex_digits).expect("hex"))
    }

    fn signature(r: &str, s: &str) -> Vec<u8> {
        let halves = hex::decode(format!("{r}{s}")).expect("hex");
        super::signature_der(halves[..].try_into().expect("64 bytes")).expect("DER")
    }
}
