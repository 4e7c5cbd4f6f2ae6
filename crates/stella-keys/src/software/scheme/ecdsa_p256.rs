//! ECDSA P-256 in software.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use super::{NotAKey, Pair, PrivateScheme, SigningFailed, secret_der};
use crate::entropy::Entropy;

pub(super) struct EcdsaP256;

impl PrivateScheme for EcdsaP256 {
    fn id(&self) -> &'static str {
        "SHA256-ECDSA-P256"
    }

    /// The secret is the scalar itself. `open` refuses zero and what is not
    /// below the group order, so that drawing until it is taken is the
    /// rejection sampling of FIPS 186-5 appendix A.2.2.
    fn pkcs8_of(&self, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        secret_der(&[PKCS8, secret])
    }

    fn open(&self, pkcs8: &[u8]) -> Result<Box<dyn Pair>, NotAKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map_err(|_| NotAKey)?;
        Ok(Box::new(pair))
    }
}

impl Pair for EcdsaKeyPair {
    fn raw_public_key(&self) -> &[u8] {
        KeyPair::public_key(self).as_ref()
    }

    /// The nonce comes from AWS-LC's own generator, which also mixes in the
    /// key and the message.
    fn sign(&self, message: &[u8], _: &mut dyn Entropy) -> Result<Vec<u8>, SigningFailed> {
        let signature = EcdsaKeyPair::sign(self, &SystemRandom::new(), message).map_err(|_| SigningFailed)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// PKCS#8 around an ECPrivateKey (RFC 5915) without its optional fields, up
/// to the 32 bytes of the scalar.
const PKCS8: &[u8] = &[
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];
