//! The message representative of ML-DSA, for a signer that is not to see the
//! message.

use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};

/// FIPS 204 algorithm 2 lines 10 and 11 and algorithm 7 line 6, with the empty
/// context: a signature over it verifies as a pure one over the message.
pub(super) fn mu(raw_public_key: &[u8], message: &[u8]) -> [u8; 64] {
    let mut tr = [0; 64];
    shake256(&[raw_public_key], &mut tr);
    let mut mu = [0; 64];
    // Pure, not prehashed; and the length of the context.
    shake256(&[&tr, &[0, 0], message], &mut mu);
    mu
}

fn shake256(parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = Shake256::default();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize_xof().read(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 202 as NIST's examples show it.
    #[test]
    fn shake256_of_nothing() {
        let mut out = [0; 32];
        shake256(&[b""], &mut out);
        assert_eq!(
            hex::encode(out),
            "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f"
        );
    }
}
