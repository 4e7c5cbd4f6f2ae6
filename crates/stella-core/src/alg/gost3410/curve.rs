//! The curve of id-GostR3410-2001-CryptoPro-A-ParamSet (RFC 4357 section
//! 11.4), which is also the one of id-tc26-gost-3410-2012-256-paramSetB
//! (R 1323565.1.024-2019).

use primeorder::elliptic_curve::bigint::{Odd, U256};
use primeorder::elliptic_curve::consts::U32;
use primeorder::point_arithmetic::EquationAIsMinusThree;

/// y² = x³ - 3x + 166 over p = 2²⁵⁶ - 617. Its order is prime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CryptoProA;

super::weierstrass_curve! {
    curve: CryptoProA,
    arithmetic: EquationAIsMinusThree,
    p: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffd97",
    p_non_residue: 7,
    q: "ffffffffffffffffffffffffffffffff6c611070995ad10045841b09b761b893",
    q_non_residue: 2,
    a: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffd94",
    b: "00000000000000000000000000000000000000000000000000000000000000a6",
    x: "0000000000000000000000000000000000000000000000000000000000000001",
    y: "8d91e471e0989cda27df505a453f2b7635294f2ddf23e3b122acc99c9e9f1e14",
}
