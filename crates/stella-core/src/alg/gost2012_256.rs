//! GOST R 34.10-2012 with keys of 256 bits and Streebog-256.

use der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use der::{Decode, Encode, Reader, Tag};
use primeorder::elliptic_curve::sec1::{FromSec1Point, Sec1Point};
use primeorder::elliptic_curve::{FieldBytes, NonZeroScalar, PrimeField, ProjectivePoint, Scalar};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};
use streebog::{Digest, Streebog256};

use super::gost3410::{self, CryptoProA};
use super::{BadSignature, KeyRefusal, Scheme, SpkiParts, Verify};

/// A signature is never the identity of anything: a signer makes as many of
/// one message as it likes.
pub(super) struct Gost2012;

/// One curve under its three names, with the digest that RFC 9215 section 4.2
/// says must stand beside the older names and must not beside the newer one.
/// The first is the one that is written.
const PARAMETER_SETS: [(ObjectIdentifier, Option<ObjectIdentifier>); 3] = [
    (
        // id-GostR3410-2001-CryptoPro-A-ParamSet
        ObjectIdentifier::new_unwrap("1.2.643.2.2.35.1"),
        Some(STREEBOG_256),
    ),
    (
        // id-tc26-gost-3410-2012-256-paramSetB
        ObjectIdentifier::new_unwrap("1.2.643.7.1.2.1.1.2"),
        None,
    ),
    (
        // id-GostR3410-2001-CryptoPro-XchA-ParamSet
        ObjectIdentifier::new_unwrap("1.2.643.2.2.36.0"),
        Some(STREEBOG_256),
    ),
];

/// id-tc26-gost3411-12-256, RFC 9215 section 3.
const STREEBOG_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.643.7.1.1.2.2");

/// id-tc26-gost-3410-2012-256-paramSetA, RFC 7836 appendix A.2.
const TC26_256_A: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.643.7.1.2.1.1.1");

const COORDINATE_LEN: usize = 32;

impl Scheme for Gost2012 {
    fn id(&self) -> &'static str {
        "GOST-R-34.10-2012"
    }

    fn short_names(&self) -> &'static [&'static str] {
        &["gost2012-256"]
    }

    fn standard(&self) -> &'static str {
        "RFC 7091, 256 bits, CryptoPro-A, Streebog-256 (RFC 6986)"
    }

    fn provider(&self) -> &'static str {
        "stella, on primeorder"
    }

    fn unaudited(&self) -> bool {
        true
    }

    fn key_details(&self) -> Option<&'static str> {
        None
    }

    /// id-tc26-gost3410-12-256, RFC 9215 section 4.1.
    fn oid(&self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap("1.2.643.7.1.1.1.1")
    }

    fn check_parameters(&self, identifier: &AlgorithmIdentifierRef<'_>) -> Result<(), KeyRefusal> {
        let set = identifier
            .parameters
            .and_then(|parameters| parameter_set(&parameters).ok())
            .ok_or(KeyRefusal::Malformed(
                "a GOST key names its parameter set (RFC 9215 section 4.2)",
            ))?;
        if PARAMETER_SETS.iter().any(|(known, _)| *known == set) {
            return Ok(());
        }
        let why = if set == TC26_256_A {
            " (paramSetA, whose order is four times a prime; paramSetB is taken)"
        } else {
            ""
        };
        Err(KeyRefusal::Unsupported(format!(
            "{} over the curve {set}{why}",
            self.id()
        )))
    }

    /// RFC 9215 section 4.3: x and then y, little-endian.
    fn accept_key(&self, parts: &SpkiParts<'_>) -> Result<Vec<u8>, KeyRefusal> {
        let coordinates = <&OctetStringRef>::from_der(parts.key)
            .ok()
            .map(|octets| octets.as_bytes())
            .filter(|octets| octets.len() == 2 * COORDINATE_LEN)
            .ok_or(KeyRefusal::Malformed(
                "a GOST public key of 256 bits is an OCTET STRING of 64 bytes",
            ))?;
        // The point at infinity has no such form, and the order is prime: what
        // is on the curve generates it all.
        point(coordinates).ok_or(KeyRefusal::Malformed("not a point of the curve CryptoPro-A"))?;
        Ok(coordinates.to_vec())
    }

    fn spki_der(&self, raw: &[u8]) -> der::Result<Vec<u8>> {
        let [first, ..] = PARAMETER_SETS;
        spki(self.oid(), first, raw)
    }

    fn other_spki_der(&self, raw: &[u8]) -> der::Result<Vec<Vec<u8>>> {
        let [_, others @ ..] = PARAMETER_SETS;
        others.into_iter().map(|set| spki(self.oid(), set, raw)).collect()
    }

    fn verifier(&self, raw: &[u8]) -> Option<Box<dyn Verify>> {
        Some(Box::new(Ready(point(raw)?)))
    }
}

struct Ready(ProjectivePoint<CryptoProA>);

impl Verify for Ready {
    /// s and then r, big-endian (RFC 9215 section 2).
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature: &[u8; 64] = signature.try_into().map_err(|_| BadSignature)?;
        let (s, r) = signature.split_at(COORDINATE_LEN);
        let (r, s) = (half(r).ok_or(BadSignature)?, half(s).ok_or(BadSignature)?);
        let e = gost3410::digest_scalar::<CryptoProA>(&Streebog256::digest(message).into());
        if gost3410::verify(&self.0, &e, &r, &s) {
            Ok(())
        } else {
            Err(BadSignature)
        }
    }
}

/// `SEQUENCE { publicKeyParamSet, digestParamSet OPTIONAL, ... }`: the first.
fn parameter_set(parameters: &AnyRef<'_>) -> der::Result<ObjectIdentifier> {
    parameters.sequence(|fields| {
        let set = ObjectIdentifier::decode(fields)?;
        while !fields.is_finished() {
            let _: ObjectIdentifier = ObjectIdentifier::decode(fields)?;
        }
        Ok::<_, der::Error>(set)
    })
}

fn spki(
    oid: ObjectIdentifier,
    (set, digest): (ObjectIdentifier, Option<ObjectIdentifier>),
    raw: &[u8],
) -> der::Result<Vec<u8>> {
    let mut parameters = set.to_der()?;
    if let Some(digest) = digest {
        parameters.extend(digest.to_der()?);
    }
    let key = OctetStringRef::new(raw)?.to_der()?;
    SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid,
            parameters: Some(AnyRef::new(Tag::Sequence, &parameters)?),
        },
        subject_public_key: BitStringRef::from_bytes(&key)?,
    }
    .to_der()
}

fn point(coordinates: &[u8]) -> Option<ProjectivePoint<CryptoProA>> {
    let (x, y) = coordinates.split_at_checked(COORDINATE_LEN)?;
    let big_endian = |coordinate: &[u8]| {
        let mut bytes = FieldBytes::<CryptoProA>::try_from(coordinate).ok()?;
        bytes.reverse();
        Some(bytes)
    };
    let point = Sec1Point::<CryptoProA>::from_affine_coordinates(&big_endian(x)?, &big_endian(y)?, false);
    ProjectivePoint::<CryptoProA>::from_sec1_point(&point).into_option()
}

/// From 1 to q - 1.
fn half(bytes: &[u8]) -> Option<NonZeroScalar<CryptoProA>> {
    let bytes = FieldBytes::<CryptoProA>::try_from(bytes).ok()?;
    let scalar = Scalar::<CryptoProA>::from_repr(bytes).into_option()?;
    NonZeroScalar::new(scalar).into_option()
}

#[cfg(test)]
mod tests {
    use crate::alg::{Algorithm, KeyError, PublicKey};

    /// A key and its signature over "message" that gost-engine 3.0.1 made.
    const X: &str = "a26f1bc0cf737e7fa0e92881c43655b0c7c28f7f08c46013283d993e88479aa8";
    const Y: &str = "f1229c67d9001b6388700a219437e95af8725ea70dd34fd17f3fc7fc04290e24";
    const S: &str = "9b01c8a24cab1d2a49ecfe044fa55a9792c611d0169efd418ead1946eeb04e59";
    const R: &str = "70cbdd12ecd59bbe1a105f9e608b7a7134f6978f0ee83afc45044a7dde0d590f";
    const ORDER: &str = "ffffffffffffffffffffffffffffffff6c611070995ad10045841b09b761b893";

    /// Up to the coordinates.
    const CRYPTO_PRO_A: &str =
        "3066301f06082a85030701010101301306072a85030202230106082a850307010102020343000440";
    const TC26_B: &str = "305e301706082a85030701010101300b06092a85030701020101020343000440";
    const XCH_A: &str = "3066301f06082a85030701010101301306072a85030202240006082a850307010102020343000440";

    #[test]
    fn verifies_a_signature_of_gost_engine_over_exactly_its_message() {
        let key = key(CRYPTO_PRO_A).expect("key");
        let verify = |message: &[u8], signature: &str| {
            key.verify(message, &hex::decode(signature).expect("hex")).is_ok()
        };
        assert!(verify(b"message", &format!("{S}{R}")));
        assert!(!verify(b"massage", &format!("{S}{R}")));
        assert!(!verify(b"message", &format!("{R}{S}")), "r || s");
        assert!(!verify(b"message", &format!("{S}{R}00")), "a byte too many");
        assert!(!verify(b"message", &format!("{S}{}", &R[2..])), "a byte too few");
        assert!(!verify(b"message", ""));
        let zero = "0".repeat(64);
        let beyond = "f".repeat(64);
        for half in [zero.as_str(), ORDER, beyond.as_str()] {
            assert!(!verify(b"message", &format!("{half}{R}")), "s = {half}");
            assert!(!verify(b"message", &format!("{S}{half}")), "r = {half}");
        }
    }

    #[test]
    fn the_names_of_the_curve_are_one_key_with_one_fingerprint() {
        let first = key(CRYPTO_PRO_A).expect("key");
        assert_eq!(hex::encode(first.spki_der()), format!("{CRYPTO_PRO_A}{X}{Y}"));
        for other in [TC26_B, XCH_A] {
            let same = key(other).expect("key");
            assert_eq!(same, first);
            assert_eq!(same.fingerprint(), first.fingerprint());
            assert_eq!(same.to_pem(), first.to_pem());
        }
    }

    #[test]
    fn other_encodings_of_the_key_are_refused() {
        for (prefix, code, what) in [
            (
                "3064301d06062a8503020213301306072a85030202230106082a850307010102020343000440",
                "key.unsupported-algorithm",
                "the OID of 2001",
            ),
            (
                "305c301506082a85030701010101300906072a8503020223010343000440",
                "key.malformed",
                "CryptoPro-A without its digest",
            ),
            (
                "3068302106082a85030701010101301506092a850307010201010206082a850307010102020343000440",
                "key.malformed",
                "TC26-B with a digest",
            ),
            (
                "3066301f06082a85030701010101301306072a85030202230106082a850307010102030343000440",
                "key.malformed",
                "the digest of 512 bits",
            ),
            (
                "3051300a06082a850307010101010343000440",
                "key.malformed",
                "no parameters",
            ),
            (
                "3053300c06082a8503070101010105000343000440",
                "key.malformed",
                "NULL for parameters",
            ),
            (
                "3066301f06082a85030701010101301306072a85030202230106082a850307010102020343000340",
                "key.malformed",
                "a BIT STRING in the BIT STRING",
            ),
            (
                "3064301f06082a85030701010101301306072a85030202230106082a85030701010202034100",
                "key.malformed",
                "no OCTET STRING",
            ),
            (
                "3053300c06082a8503070101010130000343000440",
                "key.malformed",
                "an empty parameter set",
            ),
            (
                "308166301f06082a85030701010101301306072a85030202230106082a850307010102020343000440",
                "key.malformed",
                "a length in its long form",
            ),
        ] {
            assert_eq!(key(prefix).expect_err(what).code(), code, "{what}");
        }
        let whole = hex::decode(format!("{CRYPTO_PRO_A}{X}{Y}")).expect("hex");
        assert!(PublicKey::from_spki_der(&whole).is_ok());
        for len in 0..whole.len() {
            assert!(PublicKey::from_spki_der(&whole[..len]).is_err(), "{len} bytes");
        }
        assert!(PublicKey::from_spki_der(&[&whole[..], &[0]].concat()).is_err());
    }

    #[test]
    fn another_curve_is_named_and_why_it_is_not_taken() {
        // Made by gost-engine: paramSetA of TC26, CryptoPro-B.
        for (spki, said) in [
            (
                "305e301706082a85030701010101300b06092a85030701020101010343000440\
                 63a7c7e0265ea2aacb94d635f12860e9bcf2f4715eef5da50dee891441905969\
                 78cf4a74111039c561ec8712d0cb82b2f5ccda5f38461d2b0f30dd4dd53d6370",
                "four times a prime",
            ),
            (
                "3066301f06082a85030701010101301306072a85030202230206082a850307010102020343000440\
                 5c8376f1a8ea2e12751dd949cc0351c414856e9473c78299491e494bb76c601c\
                 0fcace28374ba8cdd37957b53ea78ad3c918ef7f13636c79a37ed050bc94ec1a",
                "1.2.643.2.2.35.2",
            ),
        ] {
            let error = PublicKey::from_spki_der(&hex::decode(spki).expect("hex")).expect_err(said);
            assert_eq!(error.code(), "key.unsupported-algorithm");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn refuses_what_is_no_point() {
        let p = "97fd".to_owned() + &"f".repeat(60);
        for (x, y) in [
            (X, Y.replace("f122", "f222").as_str()),
            (Y, X),
            (&"0".repeat(64), &"0".repeat(64)),
            (p.as_str(), Y),
        ] {
            let algorithm: Algorithm = "gost2012-256".parse().expect("algorithm");
            let raw = hex::decode(format!("{x}{y}")).expect("hex");
            let error = PublicKey::from_raw(algorithm, &raw).expect_err("no point");
            assert_eq!(error.code(), "key.malformed");
        }
    }

    fn key(prefix: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki_der(&hex::decode(format!("{prefix}{X}{Y}")).expect("hex"))
    }
}
