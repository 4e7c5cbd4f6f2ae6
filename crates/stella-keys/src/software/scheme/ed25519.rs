//! Ed25519 in software.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::{NotAKey, Pair, PrivateScheme, SigningFailed, secret_der};
use crate::entropy::Entropy;

pub(super) struct Ed25519;

impl PrivateScheme for Ed25519 {
    fn id(&self) -> &'static str {
        "SHA256-ED25519"
    }

    fn pkcs8_of(&self, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        secret_der(&[PKCS8_V1, secret])
    }

    /// Version 1, and version 2 with a public key that must then agree.
    fn open(&self, pkcs8: &[u8]) -> Result<Box<dyn Pair>, NotAKey> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| NotAKey)?;
        Ok(Box::new(pair))
    }
}

impl Pair for Ed25519KeyPair {
    fn raw_public_key(&self) -> &[u8] {
        KeyPair::public_key(self).as_ref()
    }

    fn sign(&self, message: &[u8], _: &mut dyn Entropy) -> Result<Vec<u8>, SigningFailed> {
        let signature = self.try_sign(message).map_err(|_| SigningFailed)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// RFC 8410 section 7, up to the 32 bytes of the key. Version 1: OpenSSL 3.0
/// cannot read version 2.
const PKCS8_V1: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
