//! GOST R 34.10-2012 over 256 bits (RFC 7091): the two equations, over any
//! curve of prime order in short Weierstrass form, and the curve in use.
//!
//! Unaudited. Secret scalars and points go through the constant-time
//! operations of `primeorder` and `primefield` alone; what verification
//! handles is public and goes through the faster ones.

mod curve;

use primeorder::PrimeCurveParams;
use primeorder::elliptic_curve::consts::U32;
use primeorder::elliptic_curve::group::Group;
use primeorder::elliptic_curve::ops::{Invert, LinearCombination, Reduce};
use primeorder::elliptic_curve::point::AffineCoordinates;
use primeorder::elliptic_curve::{Curve, Field, FieldBytes, NonZeroScalar, ProjectivePoint, Scalar};

pub use curve::CryptoProA;

/// The number that is signed: the digest read as a little-endian number,
/// modulo q, and one instead of zero (RFC 7091 section 6.1 steps 1 and 2).
/// Little-endian is how Streebog's output is written down as bytes.
pub fn digest_scalar<C>(digest: &[u8; 32]) -> Scalar<C>
where
    C: PrimeCurveParams + Curve<FieldBytesSize = U32>,
{
    let mut bytes: FieldBytes<C> = (*digest).into();
    bytes.reverse();
    let e = Scalar::<C>::reduce(&bytes);
    if bool::from(e.is_zero()) {
        Scalar::<C>::ONE
    } else {
        e
    }
}

/// RFC 7091 section 6.1 steps 3 to 5 with this nonce; `None` when it is one of
/// those that the standard says to draw again.
///
/// The nonce must be as secret as the key, and belong to no other message:
/// whoever knows it, or sees it used twice, has the key.
pub fn sign<C>(
    d: &NonZeroScalar<C>,
    e: &Scalar<C>,
    k: &NonZeroScalar<C>,
) -> Option<(NonZeroScalar<C>, NonZeroScalar<C>)>
where
    C: PrimeCurveParams,
{
    let point = ProjectivePoint::<C>::mul_by_generator(k).to_affine();
    let r = Scalar::<C>::reduce(&point.x());
    let s = r * **d + **k * *e;
    let nonzero = |half| NonZeroScalar::<C>::new(half).into_option();
    Some((nonzero(r)?, nonzero(s)?))
}

/// RFC 7091 section 6.2 steps 4 to 7. That r and s are within bounds is in
/// their type (step 1), and that e is not zero in how it was made (step 3).
pub fn verify<C>(q: &ProjectivePoint<C>, e: &Scalar<C>, r: &NonZeroScalar<C>, s: &NonZeroScalar<C>) -> bool
where
    C: PrimeCurveParams,
{
    let Some(v) = Invert::invert_vartime(e).into_option() else {
        return false;
    };
    let z1 = **s * v;
    let z2 = -(**r * v);
    let point = ProjectivePoint::<C>::lincomb_vartime(&[(ProjectivePoint::<C>::generator(), z1), (*q, z2)]);
    !bool::from(point.is_identity()) && Scalar::<C>::reduce(&point.to_affine().x()) == **r
}

/// Field, scalars and parameters of one curve of 256 bits, in the module where
/// it is used. The two non-residues generate the roots of unity of their
/// fields; only square roots would use them, and no point is decompressed.
macro_rules! weierstrass_curve {
    (
        curve: $curve:ident,
        arithmetic: $arithmetic:ty,
        p: $p:expr, p_non_residue: $p_non_residue:expr,
        q: $q:expr, q_non_residue: $q_non_residue:expr,
        a: $a:expr, b: $b:expr, x: $x:expr, y: $y:expr,
    ) => {
        mod field {
            use primeorder::elliptic_curve::bigint::U256;
            use primeorder::elliptic_curve::ff::PrimeField;
            use primeorder::elliptic_curve::subtle::{Choice, ConstantTimeEq, CtOption};

            primefield::monty_field_params! {
                name: FieldParams,
                modulus: $p,
                uint: U256,
                byte_order: primefield::ByteOrder::BigEndian,
                multiplicative_generator: $p_non_residue,
                doc: "The field of the coordinates."
            }
            primefield::monty_field_element! {
                name: FieldElement,
                params: FieldParams,
                uint: U256,
                doc: "A coordinate."
            }
            primefield::monty_field_arithmetic! {
                name: FieldElement,
                params: FieldParams,
                uint: U256
            }
            impl primeorder::elliptic_curve::ops::BatchInvert for FieldElement {}
        }

        mod scalar {
            use primeorder::elliptic_curve::bigint::U256;
            use primeorder::elliptic_curve::ff::PrimeField;
            use primeorder::elliptic_curve::scalar::{FromUintUnchecked, IsHigh};
            use primeorder::elliptic_curve::subtle::{Choice, ConstantTimeEq, ConstantTimeGreater, CtOption};
            use primeorder::elliptic_curve::{Curve, scalar_impls};
            use primeorder::wnaf;

            primefield::monty_field_params! {
                name: ScalarParams,
                modulus: $q,
                uint: U256,
                byte_order: primefield::ByteOrder::BigEndian,
                multiplicative_generator: $q_non_residue,
                doc: "The field of the scalars."
            }
            primefield::monty_field_element! {
                name: Scalar,
                params: ScalarParams,
                uint: U256,
                doc: "A scalar."
            }
            primefield::monty_field_arithmetic! {
                name: Scalar,
                params: ScalarParams,
                uint: U256
            }
            primefield::monty_field_reduce! {
                name: Scalar,
                params: ScalarParams,
                uint: U256,
            }
            scalar_impls!(super::$curve, Scalar);
            wnaf::impl_wnaf_size_for_scalar!(Scalar);

            impl AsRef<Scalar> for Scalar {
                fn as_ref(&self) -> &Scalar {
                    self
                }
            }

            impl FromUintUnchecked for Scalar {
                type Uint = U256;

                fn from_uint_unchecked(uint: U256) -> Self {
                    Self::from_uint_unchecked(uint)
                }
            }

            impl IsHigh for Scalar {
                fn is_high(&self) -> Choice {
                    let half = super::$curve::ORDER.as_ref().shr_vartime(1);
                    self.to_canonical().ct_gt(&half)
                }
            }
        }

        impl primeorder::elliptic_curve::Curve for $curve {
            type FieldBytesSize = U32;
            type Uint = U256;
            const ORDER: Odd<U256> = Odd::<U256>::from_be_hex($q);
        }

        impl primeorder::elliptic_curve::PrimeCurve for $curve {}

        impl primeorder::elliptic_curve::point::PointCompression for $curve {
            const COMPRESS_POINTS: bool = false;
        }

        impl primeorder::elliptic_curve::CurveArithmetic for $curve {
            type AffinePoint = primeorder::AffinePoint<Self>;
            type ProjectivePoint = primeorder::ProjectivePoint<Self>;
            type Scalar = scalar::Scalar;
        }

        impl primeorder::elliptic_curve::hazmat::FieldArithmetic for $curve {
            type FieldElement = field::FieldElement;
        }

        impl primeorder::elliptic_curve::PrimeCurveArithmetic for $curve {
            type CurveGroup = primeorder::ProjectivePoint<Self>;
        }

        static TABLE: primeorder::BasepointTable<primeorder::ProjectivePoint<$curve>, 33> =
            primeorder::BasepointTable::new();

        impl primeorder::PrimeCurveWithBasepointTable<33> for $curve {
            const BASEPOINT_TABLE: &'static primeorder::BasepointTable<
                primeorder::ProjectivePoint<Self>,
                33,
            > = &TABLE;
        }

        impl primeorder::PrimeCurveParams for $curve {
            type PointArithmetic = $arithmetic;
            type Backend = primeorder::mul_backend::PrecomputedTables<33>;
            const EQUATION_A: field::FieldElement = field::FieldElement::from_hex_vartime($a);
            const EQUATION_B: field::FieldElement = field::FieldElement::from_hex_vartime($b);
            const GENERATOR: (field::FieldElement, field::FieldElement) = (
                field::FieldElement::from_hex_vartime($x),
                field::FieldElement::from_hex_vartime($y),
            );
        }
    };
}
use weierstrass_curve;

#[cfg(test)]
mod tests;
