//! Keys: what others send as a signature, what lies sealed in a database.

use std::sync::OnceLock;

use stella_core::alg::Algorithm;
use stella_core::id::KeyId;
use stella_keys::Sign;
use stella_keys::software::{SealedKey, Sealer, SealingKey, SoftwareKey};

const MESSAGE: &[u8] = b"message";

/// The first byte chooses the algorithm, the others are the signature.
pub fn signature(data: &[u8]) {
    let Some((first, sig)) = data.split_first() else {
        return;
    };
    let key = &keys()[usize::from(*first) % keys().len()];
    assert!(key.public_key().verify(b"another", sig).is_err());
    if !verifies(data) {
        return;
    }
    // A signature has one spelling.
    for other in [
        &[sig, &[0]].concat(),
        &[&[0], sig].concat(),
        &sig[..sig.len() - 1],
    ] {
        assert!(key.public_key().verify(MESSAGE, other).is_err());
    }
    let strangers = keys().iter().filter(|k| k.algorithm() != key.algorithm());
    for stranger in strangers {
        assert!(stranger.public_key().verify(MESSAGE, sig).is_err());
    }
}

/// Whether it is a signature of the message.
pub fn verifies(data: &[u8]) -> bool {
    data.split_first().is_some_and(|(first, sig)| {
        let key = &keys()[usize::from(*first) % keys().len()];
        key.public_key().verify(MESSAGE, sig).is_ok()
    })
}

/// Signatures that verify, for the corpus: others each time.
pub fn signature_seeds() -> Vec<Vec<u8>> {
    let signed = |(n, key): (usize, &SoftwareKey)| {
        let sig = key.sign(MESSAGE).unwrap();
        [&[u8::try_from(n).unwrap()][..], &sig].concat()
    };
    keys().iter().enumerate().map(signed).collect()
}

/// Nothing opens but what was sealed, where it was sealed for.
pub fn sealed_key(data: &[u8]) {
    let Ok(blob) = SealedKey::from_bytes(data) else {
        return;
    };
    assert_eq!(SealedKey::from_bytes(&blob.to_bytes().unwrap()).unwrap(), blob);
    let open = |sealer: &Sealer, id: &KeyId, algorithm| SoftwareKey::open(&blob, sealer, id, algorithm);
    if let Ok(key) = open(&sealer(1), blob.key_id(), blob.algorithm()) {
        let bytes = blob.to_bytes().unwrap();
        let sealed = sealed_seeds().iter().position(|sealed| *sealed == bytes);
        let made = &keys()[sealed.expect("nobody sealed that")];
        assert_eq!(key.public_key(), made.public_key());
    }
    let other: KeyId = format!("{}x", blob.key_id()).parse().unwrap_or_else(|_| id());
    assert!(*blob.key_id() == other || open(&sealer(1), &other, blob.algorithm()).is_err());
    assert!(open(&sealer(2), blob.key_id(), blob.algorithm()).is_err());
    for algorithm in Algorithm::all().filter(|a| *a != blob.algorithm()) {
        assert!(open(&sealer(1), blob.key_id(), algorithm).is_err());
    }
}

/// A key of each algorithm, sealed.
pub fn sealed_seeds() -> &'static [Vec<u8>] {
    static SEALED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEALED.get_or_init(|| {
        let sealed = (0..).zip(keys()).map(|(n, key)| {
            let mut nonce = move |out: &mut [u8]| out.fill(n);
            key.seal(&sealer(1), &id(), &mut nonce).unwrap()
        });
        sealed.map(|blob| blob.to_bytes().unwrap()).collect()
    })
}

/// Always the same.
fn keys() -> &'static [SoftwareKey] {
    static KEYS: OnceLock<Vec<SoftwareKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let made = Algorithm::all().map(|algorithm| {
            let mut fixed = |out: &mut [u8]| out.fill(7);
            SoftwareKey::generate(algorithm, &mut fixed).unwrap()
        });
        made.collect()
    })
}

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&SealingKey::from_bytes([byte; 32])).unwrap()
}

fn id() -> KeyId {
    "key-1".parse().unwrap()
}
