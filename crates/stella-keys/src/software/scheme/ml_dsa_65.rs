//! ML-DSA-65 in software.

use aws_lc_rs::signature::{KeyPair, ML_DSA_65_SIGNING, PqdsaKeyPair};
use zeroize::Zeroizing;

use super::{NotAKey, Pair, PrivateScheme, SigningFailed, secret_der};
use crate::entropy::Entropy;

pub(super) struct MlDsa65;

impl PrivateScheme for MlDsa65 {
    fn id(&self) -> &'static str {
        "ML-DSA-65"
    }

    /// The secret is the seed xi of FIPS 204 algorithm 1.
    fn pkcs8_of(&self, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        secret_der(&[PKCS8_SEED, secret])
    }

    /// The seed, the expanded key, or both, which must then agree (RFC 9881
    /// section 6).
    fn open(&self, pkcs8: &[u8]) -> Result<Box<dyn Pair>, NotAKey> {
        let pair = PqdsaKeyPair::from_pkcs8(&ML_DSA_65_SIGNING, pkcs8).map_err(|_| NotAKey)?;
        Ok(Box::new(pair))
    }
}

impl Pair for PqdsaKeyPair {
    fn raw_public_key(&self) -> &[u8] {
        KeyPair::public_key(self).as_ref()
    }

    /// Hedged: two signatures of one message differ.
    fn sign(&self, message: &[u8], _: &mut dyn Entropy) -> Result<Vec<u8>, SigningFailed> {
        let mut signature = vec![0; ML_DSA_65_SIGNING.signature_len()];
        let len = PqdsaKeyPair::sign(self, message, &mut signature).map_err(|_| SigningFailed)?;
        signature.truncate(len);
        Ok(signature)
    }
}

/// RFC 9881 section 6, the form with the seed alone, up to its 32 bytes.
const PKCS8_SEED: &[u8] = &[
    0x30, 0x34, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03,
    0x12, 0x04, 0x22, 0x80, 0x20,
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_keys_of_nist_come_of_their_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/ml-dsa-65/keygen");
        let mut cases = 0;
        for file in std::fs::read_dir(folder).expect("the vectors") {
            let path = file.expect("a file").path();
            let case: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).expect("a case")).expect("JSON");
            let bytes = |field: &str| hex::decode(case[field].as_str().expect("text")).expect("hex");
            let seed = <[u8; 32]>::try_from(bytes("seed")).expect("32 bytes");
            let pair = MlDsa65.open(&MlDsa65.pkcs8_of(&seed)).ok().expect("pair");
            assert_eq!(pair.raw_public_key(), bytes("pk"), "{}", path.display());
            cases += 1;
        }
        assert!(cases > 0);
    }
}
