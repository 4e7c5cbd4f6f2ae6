//! SM2 with SM3 in software. Unaudited.

use elliptic_curve::rand_core::{TryCryptoRng, TryRng};
use elliptic_curve::sec1::ToSec1Point;
use pkcs8::PrivateKeyInfoRef;
use sm2::dsa::SigningKey;
use sm2::dsa::signature::RandomizedSigner;
use sm2::{NonZeroScalar, Scalar, SecretKey};
use stella_core::alg::sm2_p256::{USER_ID, signature_der};
use zeroize::Zeroizing;

use super::{NotAKey, Pair, PrivateScheme, SigningFailed, secret_der};
use crate::entropy::{Entropy, EntropyError};

pub(super) struct Sm2P256;

impl PrivateScheme for Sm2P256 {
    fn id(&self) -> &'static str {
        "SM2-P256"
    }

    /// The secret is the scalar itself, and `open` refuses those that are not
    /// from 1 to n - 2.
    fn pkcs8_of(&self, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        secret_der(&[PKCS8, secret])
    }

    /// An ECPrivateKey (RFC 5915) with or without its public key, which must
    /// then agree.
    fn open(&self, pkcs8: &[u8]) -> Result<Box<dyn Pair>, NotAKey> {
        let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| NotAKey)?;
        let secret = SecretKey::try_from(info).map_err(|_| NotAKey)?;
        // GB/T 32918.1 section 6.1: signing divides by d + 1.
        NonZeroScalar::new(*secret.to_nonzero_scalar() + Scalar::ONE)
            .into_option()
            .ok_or(NotAKey)?;
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(Sm2Pair { secret, public }))
    }
}

struct Sm2Pair {
    secret: SecretKey,
    public: Vec<u8>,
}

impl Pair for Sm2Pair {
    fn raw_public_key(&self) -> &[u8] {
        &self.public
    }

    /// The nonce is that of RFC 6979 over SM3 with 32 random bytes mixed in.
    fn sign(&self, message: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, SigningFailed> {
        // Not kept: unlike `SecretKey` it is not cleansed when it is dropped.
        let signer = SigningKey::new(USER_ID, &self.secret).map_err(|_| SigningFailed)?;
        let signature = signer
            .try_sign_with_rng(&mut Bytes(entropy), message)
            .map_err(|_| SigningFailed)?;
        signature_der(&signature.to_bytes().into()).map_err(|_| SigningFailed)
    }
}

/// The entropy in the form in which the library takes it.
struct Bytes<'a>(&'a mut dyn Entropy);

impl TryRng for Bytes<'_> {
    type Error = EntropyError;

    fn try_next_u32(&mut self) -> Result<u32, EntropyError> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, EntropyError> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(out)
    }
}

impl TryCryptoRng for Bytes<'_> {}

/// PKCS#8 around an ECPrivateKey (RFC 5915) without its optional fields, up
/// to the 32 bytes of the scalar.
const PKCS8: &[u8] = &[
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];

#[cfg(test)]
mod tests {
    use super::*;

    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x72,
        0x03, 0xdf, 0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x23,
    ];

    #[test]
    fn private_keys_are_from_one_to_the_order_less_two() {
        let opens = |secret: &[u8; 32]| Sm2P256.open(&Sm2P256.pkcs8_of(secret)).is_ok();
        let less = |by: u8| {
            let mut secret = N;
            secret[31] -= by;
            secret
        };
        let mut one = [0; 32];
        one[31] = 1;
        assert!(opens(&one) && opens(&less(2)));
        for secret in [[0; 32], less(1), N, [0xff; 32]] {
            assert!(!opens(&secret), "{secret:02x?}");
        }
    }
}
