//! GOST R 34.10-2012 with keys of 256 bits in software. Unaudited.

use elliptic_curve::ops::Reduce;
use elliptic_curve::sec1::ToSec1Point;
use elliptic_curve::{Curve, FieldBytes, NonZeroScalar, PrimeField, Scalar, SecretKey};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{OctetStringRef, UintRef};
use pkcs8::der::{Decode, Reader, SliceReader};
use rfc6979::KGenerator;
use stella_core::alg::gost3410::{self, CryptoProA};
use streebog::{Digest, Streebog256};
use zeroize::Zeroizing;

use super::{NotAKey, Pair, PrivateScheme, SigningFailed, secret_der};
use crate::entropy::Entropy;

pub(super) struct Gost2012;

const LEN: usize = 32;

impl PrivateScheme for Gost2012 {
    fn id(&self) -> &'static str {
        "GOST-R-34.10-2012"
    }

    /// The secret is the scalar itself, little-endian. `open` refuses zero and
    /// what is not below the order.
    fn pkcs8_of(&self, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        secret_der(&[PKCS8, secret])
    }

    /// What gost-engine reads: the bare scalar, the scalar in an OCTET STRING
    /// or an INTEGER, and the scalar divided by masks that follow it.
    fn open(&self, pkcs8: &[u8]) -> Result<Box<dyn Pair>, NotAKey> {
        let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| NotAKey)?;
        let secret = read_secret(info.private_key.as_bytes()).ok_or(NotAKey)?;
        let public = raw_public_key(&secret);
        Ok(Box::new(GostPair { secret, public }))
    }
}

struct GostPair {
    secret: SecretKey<CryptoProA>,
    public: Vec<u8>,
}

impl Pair for GostPair {
    fn raw_public_key(&self) -> &[u8] {
        &self.public
    }

    /// The nonce is that of RFC 6979 over Streebog-256 with 32 random bytes
    /// mixed in: good ones alone would do, and without any it is still one
    /// that no other message gets.
    fn sign(&self, message: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, SigningFailed> {
        let mut random = Zeroizing::new([0; LEN]);
        entropy.fill(&mut *random).map_err(|_| SigningFailed)?;
        let e = gost3410::digest_scalar::<CryptoProA>(&Streebog256::digest(message).into());
        let secret = Zeroizing::new(self.secret.to_bytes());
        let mut nonces =
            KGenerator::<Streebog256, _>::new(&secret, &e.to_repr(), &*random, CryptoProA::ORDER.as_ref());
        let d = Zeroizing::new(self.secret.to_nonzero_scalar());
        for _ in 0..DRAWS {
            let mut bytes = Zeroizing::new(FieldBytes::<CryptoProA>::default());
            nonces.fill_next_k(&mut bytes);
            let k = NonZeroScalar::<CryptoProA>::from_repr(*bytes).into_option();
            let k = Zeroizing::new(k.ok_or(SigningFailed)?);
            if let Some((r, s)) = gost3410::sign(&d, &e, &k) {
                return Ok([s.to_repr(), r.to_repr()].concat());
            }
        }
        Err(SigningFailed)
    }
}

/// The content of PKCS#8, in any of its forms.
fn read_secret(content: &[u8]) -> Option<SecretKey<CryptoProA>> {
    if content.len().is_multiple_of(LEN) {
        return unmask(content);
    }
    match content.first()? {
        0x04 => {
            let octets = <&OctetStringRef>::from_der(content).ok()?.as_bytes();
            (octets.len() == LEN).then(|| unmask(octets))?
        }
        0x02 => SecretKey::from_slice(UintRef::from_der(content).ok()?.as_bytes()).ok(),
        0x30 => {
            let mut reader = SliceReader::new(content).ok()?;
            let (masked, public) = reader
                .sequence(|fields| {
                    let both = (
                        <&OctetStringRef>::decode(fields)?,
                        <&OctetStringRef>::decode(fields)?,
                    );
                    Ok::<_, pkcs8::der::Error>(both)
                })
                .ok()?;
            reader.finish().ok()?;
            let secret = unmask(masked.as_bytes())?;
            (raw_public_key(&secret) == public.as_bytes()).then_some(secret)
        }
        _ => None,
    }
}

/// The product modulo the order of the little-endian numbers in `content`:
/// the scalar itself, or the scalar divided by masks and then the masks.
fn unmask(content: &[u8]) -> Option<SecretKey<CryptoProA>> {
    let mut numbers = content.chunks_exact(LEN).map(|number| {
        let mut bytes = FieldBytes::<CryptoProA>::default();
        bytes.copy_from_slice(number);
        bytes.reverse();
        Zeroizing::new(bytes)
    });
    let mut product = Zeroizing::new(Scalar::<CryptoProA>::from_repr(*numbers.next()?).into_option()?);
    for mask in numbers {
        *product *= Scalar::<CryptoProA>::reduce(&*mask);
    }
    let secret = Zeroizing::new(NonZeroScalar::<CryptoProA>::new(*product).into_option()?);
    Some(SecretKey::from(&*secret))
}

/// x and then y, little-endian.
fn raw_public_key(secret: &SecretKey<CryptoProA>) -> Vec<u8> {
    let point = secret.public_key().to_sec1_point(false);
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    coordinates
        .chunks(LEN)
        .flat_map(|coordinate| coordinate.iter().rev().copied())
        .collect()
}

/// A nonce in 2^128 is drawn again; more of them mean that the bytes are not
/// random.
const DRAWS: usize = 8;

/// RFC 9215 section 4.2 for the algorithm, and the scalar in the OCTET STRING
/// without more, as gost-engine writes it; up to its 32 bytes.
const PKCS8: &[u8] = &[
    0x30, 0x46, 0x02, 0x01, 0x00, 0x30, 0x1f, 0x06, 0x08, 0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x01, 0x01,
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x85, 0x03, 0x02, 0x02, 0x23, 0x01, 0x06, 0x08, 0x2a, 0x85, 0x03, 0x07,
    0x01, 0x01, 0x02, 0x02, 0x04, 0x20,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The order, little-endian.
    const Q: [u8; 32] = [
        0x93, 0xb8, 0x61, 0xb7, 0x09, 0x1b, 0x84, 0x45, 0x00, 0xd1, 0x5a, 0x99, 0x70, 0x10, 0x61, 0x6c, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ];
    /// Some key, little-endian.
    const D: [u8; 32] = [0x42; 32];
    /// 2, and half of D.
    const TWO: [u8; 32] = {
        let mut two = [0; 32];
        two[0] = 2;
        two
    };
    const HALF: [u8; 32] = [0x21; 32];

    #[test]
    fn reads_a_private_key_in_every_form_of_gost_engine() {
        let pair = Gost2012.open(&Gost2012.pkcs8_of(&D)).ok().expect("pair");
        let public = pair.raw_public_key();
        let masked = [HALF, TWO].concat();
        let big_endian: Vec<u8> = D.iter().rev().copied().collect();
        for (form, content) in [
            ("bare", D.to_vec()),
            ("in an OCTET STRING", tlv(4, &D)),
            ("as an INTEGER", tlv(2, &big_endian)),
            ("masked", masked.clone()),
            ("masked twice", [HALF, ONE, TWO].concat()),
            (
                "masked, with the public key",
                tlv(0x30, &[tlv(4, &masked), tlv(4, public)].concat()),
            ),
        ] {
            let again = Gost2012.open(&pkcs8(&content)).ok().expect(form);
            assert_eq!(again.raw_public_key(), public, "{form}");
        }
        let mut other = public.to_vec();
        other[0] ^= 1;
        for (what, content) in [
            ("nothing", Vec::new()),
            ("a byte too few", D[1..].to_vec()),
            ("a short OCTET STRING", tlv(4, &D[1..])),
            ("a negative INTEGER", tlv(2, &[0x81; 32])),
            ("trailing bytes", [tlv(4, &D), vec![0]].concat()),
            (
                "another's public key",
                tlv(0x30, &[tlv(4, &masked), tlv(4, &other)].concat()),
            ),
            (
                "an empty masked key",
                tlv(0x30, &[tlv(4, &[]), tlv(4, public)].concat()),
            ),
        ] {
            assert!(Gost2012.open(&pkcs8(&content)).is_err(), "{what}");
        }
    }

    #[test]
    fn private_keys_are_from_one_to_the_order_less_one() {
        let opens = |secret: &[u8; 32]| Gost2012.open(&Gost2012.pkcs8_of(secret)).is_ok();
        let mut last = Q;
        last[0] -= 1;
        assert!(opens(&ONE) && opens(&last));
        for secret in [[0; 32], Q, [0xff; 32]] {
            assert!(!opens(&secret), "{secret:02x?}");
        }
        assert!(Gost2012.open(&pkcs8(&[D, [0; 32]].concat())).is_err(), "mask 0");
        assert!(
            Gost2012.open(&pkcs8(&[D, Q].concat())).is_err(),
            "mask 0 modulo q"
        );
    }

    const ONE: [u8; 32] = {
        let mut one = [0; 32];
        one[0] = 1;
        one
    };

    fn pkcs8(content: &[u8]) -> Vec<u8> {
        // The version and the algorithm are 36 bytes after the first two.
        tlv(0x30, &[&PKCS8[2..38], &tlv(4, content)].concat())
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(content.len()).expect("short").to_be_bytes();
        let header = match content.len() {
            0..128 => vec![tag, low],
            128..256 => vec![tag, 0x81, low],
            _ => vec![tag, 0x82, high, low],
        };
        [&header[..], content].concat()
    }
}
