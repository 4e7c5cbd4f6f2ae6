//! The private half of each algorithm: one file per algorithm and one table,
//! beside `stella_core::alg`, which holds the public half.

mod ecdsa_p256;
mod ed25519;
mod ml_dsa_65;

use stella_core::alg::Algorithm;
use zeroize::Zeroizing;

static SCHEMES: &[&dyn PrivateScheme] = &[&ed25519::Ed25519, &ecdsa_p256::EcdsaP256, &ml_dsa_65::MlDsa65];

/// How software makes and reads private keys of one algorithm. Stateless.
pub(super) trait PrivateScheme: Sync {
    /// The long name in `stella_core::alg`.
    fn id(&self) -> &'static str;

    /// The PKCS#8 of the private key that 32 random bytes are, or are the
    /// seed of. Not every 32 bytes need be a key: `open` decides.
    fn pkcs8_of(&self, secret: &[u8; 32]) -> Zeroizing<Vec<u8>>;

    /// Reads PKCS#8 (RFC 5958) and checks that it is whole.
    fn open(&self, pkcs8: &[u8]) -> Result<Box<dyn Pair>, NotAKey>;
}

/// A private key in memory.
///
/// Implementations hold it in an object of AWS-LC, which cleanses the memory
/// when it frees it, and have no `Debug`.
pub(super) trait Pair: Send + Sync {
    /// The public key as `Scheme::verify` reads it.
    fn raw_public_key(&self) -> &[u8];

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed>;
}

/// The library gave no reason, and none would be fit for a message: it is
/// about secret bytes.
pub(super) struct NotAKey;

pub(super) struct SigningFailed;

pub(super) fn of(algorithm: Algorithm) -> Option<&'static dyn PrivateScheme> {
    SCHEMES
        .iter()
        .copied()
        .find(|scheme| scheme.id() == algorithm.id())
}

/// `parts` one after another, in memory that is cleansed.
fn secret_der(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    // Reserved in full: a vector that grew would leave a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
