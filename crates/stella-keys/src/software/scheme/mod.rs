//! The private half of each algorithm: one file per algorithm and one table,
//! beside `stella_core::alg`, which holds the public half.

mod ecdsa_p256;
mod ed25519;
mod gost2012_256;
mod ml_dsa_65;
mod sm2_p256;

use stella_core::alg::Algorithm;
use zeroize::Zeroizing;

use crate::entropy::Entropy;

static SCHEMES: &[&dyn PrivateScheme] = &[
    &ed25519::Ed25519,
    &ecdsa_p256::EcdsaP256,
    &ml_dsa_65::MlDsa65,
    &gost2012_256::Gost2012,
    &sm2_p256::Sm2P256,
];

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
/// Implementations hold it in an object that cleanses its memory when it is
/// freed, and have no `Debug`.
pub(super) trait Pair: Send + Sync {
    /// The public key as `Scheme::verifier` reads it.
    fn raw_public_key(&self) -> &[u8];

    /// `entropy` is for schemes whose library has no generator of its own.
    fn sign(&self, message: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, SigningFailed>;
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use stella_core::alg::PublicKey;

    use super::*;

    /// There is no export, and yet what is sealed is what others read too.
    #[test]
    fn openssl_reads_the_private_keys_that_are_sealed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("key");
        // OpenSSL 3.0 has no ML-DSA.
        for (name, engine) in [
            ("ed25519", None),
            ("p256", None),
            ("sm2", None),
            ("gost2012-256", Some("gost")),
        ] {
            let reads = Command::new("openssl").args(["engine"]).args(engine).output();
            if !reads.is_ok_and(|output| output.status.success()) {
                println!("skipped: there is no openssl for {name}");
                continue;
            }
            let algorithm: Algorithm = name.parse().expect("algorithm");
            let scheme = of(algorithm).expect("scheme");
            let pkcs8 = scheme.pkcs8_of(&[7; 32]);
            std::fs::write(&file, &*pkcs8).expect("write");
            let output = Command::new("openssl")
                .args(["pkey", "-inform", "DER", "-pubout", "-outform", "DER", "-in"])
                .arg(&file)
                .args(engine.map_or(vec![], |engine| vec!["-engine", engine]))
                .output()
                .expect("openssl");
            let pair = scheme.open(&pkcs8).ok().expect("pair");
            let ours = PublicKey::from_raw(algorithm, pair.raw_public_key()).expect("key");
            assert_eq!(
                hex::encode(&output.stdout),
                hex::encode(ours.spki_der()),
                "{name}"
            );
        }
    }

    /// For the schemes that take their randomness from here.
    #[test]
    fn a_nonce_depends_on_the_message_and_on_the_random_bytes() {
        for name in ["sm2", "gost2012-256"] {
            let scheme = of(name.parse().expect("algorithm")).expect("scheme");
            let pair = scheme.open(&scheme.pkcs8_of(&[7; 32])).ok().expect("pair");
            let sign = |message: &[u8], byte: u8| {
                let mut stuck = move |out: &mut [u8]| out.fill(byte);
                pair.sign(message, &mut stuck).ok().expect("signature")
            };
            assert_eq!(sign(b"one", 0), sign(b"one", 0));
            let all = [sign(b"one", 0), sign(b"one", 1), sign(b"two", 0), sign(b"two", 1)];
            for (i, a) in all.iter().enumerate() {
                for b in &all[i + 1..] {
                    // Two signatures with one nonce have a half in common in
                    // GOST, and give the key away in both.
                    assert_ne!(a, b, "{name}");
                    assert_ne!(a[32..], b[32..], "{name}");
                    assert_ne!(a[..32], b[..32], "{name}");
                }
            }
        }
    }

    #[test]
    fn a_source_of_randomness_that_fails_signs_nothing() {
        struct Broken;
        impl Entropy for Broken {
            fn fill(&mut self, _: &mut [u8]) -> Result<(), crate::entropy::EntropyError> {
                Err(crate::entropy::EntropyError("no device".to_owned()))
            }
        }
        for name in ["sm2", "gost2012-256"] {
            let scheme = of(name.parse().expect("algorithm")).expect("scheme");
            let pair = scheme.open(&scheme.pkcs8_of(&[7; 32])).ok().expect("pair");
            assert!(pair.sign(b"message", &mut Broken).is_err(), "{name}");
        }
    }
}
