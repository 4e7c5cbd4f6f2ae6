//! The example of RFC 7091 section 7. It has a curve of its own, over which
//! the very equations run that sign and verify over CryptoPro-A.

use primeorder::elliptic_curve::group::Group;
use primeorder::elliptic_curve::sec1::ToSec1Point;
use primeorder::elliptic_curve::{FieldBytes, NonZeroScalar, PrimeField, ProjectivePoint, Scalar};
use primeorder::{AffinePoint, Field, PrimeCurveParams};
use proptest::prelude::*;

use super::{CryptoProA, digest_scalar, sign, verify};
use example::Example;

mod example {
    use primeorder::elliptic_curve::bigint::{Odd, U256};
    use primeorder::elliptic_curve::consts::U32;
    use primeorder::point_arithmetic::EquationAIsGeneric;

    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Example;

    super::super::weierstrass_curve! {
        curve: Example,
        arithmetic: EquationAIsGeneric,
        p: "8000000000000000000000000000000000000000000000000000000000000431",
        p_non_residue: 7,
        q: "8000000000000000000000000000000150fe8a1892976154c59cfc193accf5b3",
        q_non_residue: 2,
        a: "0000000000000000000000000000000000000000000000000000000000000007",
        b: "5fbff498aa938ce739b8e022fbafef40563f6e6a3472fc2a514c0ce9dae23b7e",
        x: "0000000000000000000000000000000000000000000000000000000000000002",
        y: "08e2a8a0e65147d4bd6316030e16d19c85c97f0a9ca267122b96abbcea7e8fc8",
    }
}

const D: &str = "7a929ade789bb9be10ed359dd39a72c11b60961f49397eee1d19ce9891ec3b28";
const Q: &str = "047f2b49e270db6d90d8595bec458b50c58585ba1d4e9b788f6689dbd8e56fd80b\
                 26f1b489d6701dd185c8413a977b3cbbaf64d1c593d26627dffb101a87ff77da";
const E: &str = "2dfbc1b372d89a1188c09c52e0eec61fce52032ab1022e8e67ece6672b043ee5";
const K: &str = "77105c9b20bcd3122823c8cf6fcc7b956de33814e95b7fe64fed924594dceab3";
const R: &str = "41aa28d2f1ab148280cd9ed56feda41974053554a42767b83ad043fd39dc0493";
const S: &str = "01456c64ba4642a1653c235a98a60249bcd6d3f746b631df928014f6c5bf9c40";

#[test]
fn the_example_of_rfc_7091_is_reproduced() {
    let d = scalar::<Example>(D);
    let q = ProjectivePoint::<Example>::mul_by_generator(&d);
    assert_eq!(hex::encode(q.to_affine().to_sec1_point(false).as_bytes()), Q);

    let e = *scalar::<Example>(E);
    let (r, s) = sign(&d, &e, &scalar::<Example>(K)).expect("a good nonce");
    assert_eq!([text(&r), text(&s)], [R, S]);
    assert!(verify(&q, &e, &r, &s));

    let two = scalar::<Example>(&format!("{:064x}", 2));
    let other = *scalar::<Example>(&E.replace("2dfb", "2dfc"));
    assert!(!verify(&q, &other, &r, &s), "another digest");
    assert!(!verify(&q, &e, &s, &r), "the halves exchanged");
    assert!(!verify(&q, &e, &r, &two), "another s");
    assert!(!verify(&q.double(), &e, &r, &s), "another key");
}

#[test]
fn the_digest_is_read_from_its_last_byte_and_never_becomes_zero() {
    let mut digest = <[u8; 32]>::try_from(hex::decode(E).expect("hex")).expect("32 bytes");
    digest.reverse();
    assert_eq!(digest_scalar::<Example>(&digest), *scalar::<Example>(E));

    let mut order = <[u8; 32]>::try_from(
        hex::decode("ffffffffffffffffffffffffffffffff6c611070995ad10045841b09b761b893").expect("hex"),
    )
    .expect("32 bytes");
    order.reverse();
    for zero in [[0; 32], order] {
        assert_eq!(digest_scalar::<CryptoProA>(&zero), Scalar::<CryptoProA>::ONE);
    }
    order[0] += 2;
    assert_eq!(
        digest_scalar::<CryptoProA>(&order),
        Scalar::<CryptoProA>::from(2u64)
    );
}

#[test]
fn the_generators_are_of_the_order_and_on_the_curve() {
    fn check<C: PrimeCurveParams>() {
        let minus_one = -Scalar::<C>::ONE;
        let generator = ProjectivePoint::<C>::generator();
        assert_eq!(generator * minus_one, -generator);
        let affine: AffinePoint<C> = generator.to_affine();
        let again = primeorder::elliptic_curve::PublicKey::<C>::from_sec1_bytes(
            affine.to_sec1_point(false).as_bytes(),
        );
        assert!(again.is_ok());
    }
    check::<Example>();
    check::<CryptoProA>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(d in 1u64.., k in 1u64.., digest: [u8; 32], bit in 0usize..256) {
        let nonzero = |number: u64| {
            // Spread over all the bits.
            let number = Scalar::<CryptoProA>::from(number).square().square();
            NonZeroScalar::<CryptoProA>::new(number).into_option().expect("not zero")
        };
        let (d, k) = (nonzero(d), nonzero(k));
        let e = digest_scalar::<CryptoProA>(&digest);
        let (r, s) = sign(&d, &e, &k).expect("a good nonce");
        let q = ProjectivePoint::<CryptoProA>::mul_by_generator(&d);
        prop_assert!(verify(&q, &e, &r, &s));

        let mut other = digest;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify(&q, &digest_scalar::<CryptoProA>(&other), &r, &s));
        let one = Scalar::<CryptoProA>::ONE;
        let next = |half: &NonZeroScalar<CryptoProA>| NonZeroScalar::new(**half + one).into_option().expect("not zero");
        prop_assert!(!verify(&q, &e, &next(&r), &s));
        prop_assert!(!verify(&q, &e, &r, &next(&s)));
        prop_assert!(!verify(&-q, &e, &r, &s));
    }
}

fn scalar<C: PrimeCurveParams>(hex_digits: &str) -> NonZeroScalar<C> {
    let bytes = hex::decode(hex_digits).expect("hex");
    let bytes = FieldBytes::<C>::try_from(&bytes[..]).expect("32 bytes");
    let scalar = Scalar::<C>::from_repr(bytes)
        .into_option()
        .expect("below the order");
    NonZeroScalar::new(scalar).into_option().expect("not zero")
}

fn text<C: PrimeCurveParams>(scalar: &NonZeroScalar<C>) -> String {
    hex::encode(scalar.to_repr())
}
