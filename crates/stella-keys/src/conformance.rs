//! The suite that every key store passes. It panics at the first thing that
//! does not hold, like any test.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;

use stella_core::alg::{Algorithm, PublicKey};

use crate::{Retry, Sign, SignError, sign_verified, sign_verified_async};

/// `make` gives a fresh key of the algorithm, or `None` where the store does
/// not have that algorithm. It must know at least one.
pub fn conformance(make: impl Fn(Algorithm) -> Option<Arc<dyn Sign>>) {
    conformance_within(|_| 0..=usize::MAX, make);
}

/// For a store whose documentation limits the length of messages.
pub fn conformance_within(
    lengths: impl Fn(Algorithm) -> RangeInclusive<usize>,
    make: impl Fn(Algorithm) -> Option<Arc<dyn Sign>>,
) {
    let mut tried = 0;
    for algorithm in Algorithm::all() {
        let Some(signer) = make(algorithm) else { continue };
        let Some(other) = make(algorithm) else {
            panic!("{algorithm}: a key the first time and none the second");
        };
        tried += 1;
        describes_itself(&*signer, algorithm);
        no_other_bytes_are_its_public_key(&*signer);
        signs_messages_of_any_length(&*signer, &lengths(algorithm));
        a_signature_is_of_one_message(&*signer);
        a_signature_is_all_of_its_bits(&*signer);
        a_signature_is_of_one_key(&*signer, &*other);
        signs_from_many_threads(&*signer);
        signs_for_many_tasks(&signer);
    }
    assert!(tried > 0, "the store made no key of any algorithm");
}

fn describes_itself(signer: &dyn Sign, algorithm: Algorithm) {
    let key = signer.public_key();
    assert_eq!(key.algorithm(), algorithm, "a key of the algorithm asked for");
    let again = PublicKey::from_spki_der(key.spki_der());
    assert_eq!(
        again.as_ref(),
        Ok(key),
        "{algorithm}: the public key is canonical"
    );
    let description = signer.describe();
    assert!(!description.store.is_empty() && !description.mechanism.is_empty());
}

/// What is trusted is found by these bytes.
fn no_other_bytes_are_its_public_key(signer: &dyn Sign) {
    let key = signer.public_key();
    let algorithm = key.algorithm();
    let mut changed = key.spki_der().to_vec();
    for i in 0..changed.len() {
        let bit = 1 << (i % 8);
        changed[i] ^= bit;
        let read = PublicKey::from_spki_der(&changed);
        assert_ne!(read.as_ref(), Ok(key), "{algorithm}: byte {i} does not count");
        changed[i] ^= bit;
        let short = PublicKey::from_spki_der(&changed[..i]);
        assert!(short.is_err(), "{algorithm}: {i} bytes of it are a key");
    }
}

/// Or says that it never will, where the store has a limit.
fn signs_messages_of_any_length(signer: &dyn Sign, lengths: &RangeInclusive<usize>) {
    let algorithm = signer.public_key().algorithm();
    for len in [0, 1, 64, 4_096, 4_097, 1 << 20] {
        let message = vec![b'm'; len];
        match sign_verified(signer, &message) {
            Ok(signature) => {
                assert_eq!(signature.public_key(), signer.public_key());
                assert!(lengths.contains(&len), "{algorithm}: {len} bytes are signed");
            }
            Err(SignError::MessageTooLarge { limit, actual }) => {
                assert_eq!((limit, actual), (*lengths.end(), len), "{algorithm}");
                assert!(len > limit, "{algorithm}: {len} bytes are not too many");
            }
            Err(e) if len < *lengths.start() => assert_eq!(e.retry(), Retry::Never, "{algorithm}: {e}"),
            Err(e) => panic!("{algorithm}: {len} bytes: {e}"),
        }
    }
}

fn a_signature_is_of_one_message(signer: &dyn Sign) {
    let algorithm = signer.public_key().algorithm();
    let signature = match signer.sign(b"one message") {
        Ok(signature) => signature,
        Err(e) => panic!("{algorithm}: {e}"),
    };
    for message in [&b"another message"[..], b"one messagf", b"one message\0", b""] {
        let verdict = signer.public_key().verify(message, &signature);
        assert!(verdict.is_err(), "{algorithm}: verifies over {message:?}");
    }
}

/// One bit of each byte is enough: no scheme of ours ignores parts of bytes.
fn a_signature_is_all_of_its_bits(signer: &dyn Sign) {
    let key = signer.public_key();
    let algorithm = key.algorithm();
    let signature = match signer.sign(b"message") {
        Ok(signature) => signature,
        Err(e) => panic!("{algorithm}: {e}"),
    };
    let refused = |changed: &[u8], what: &str| {
        let verdict = key.verify(b"message", changed);
        assert!(verdict.is_err(), "{algorithm}: verifies with {what}");
    };
    for i in 0..signature.len() {
        let mut changed = signature.clone();
        changed[i] ^= 1 << (i % 8);
        refused(&changed, &format!("a bit of byte {i} changed"));
    }
    refused(&[&signature[..], &[0]].concat(), "a byte more");
    refused(&signature[..signature.len() - 1], "a byte less");
    refused(&signature[1..], "its first byte gone");
    refused(&[], "nothing");
}

fn a_signature_is_of_one_key(signer: &dyn Sign, other: &dyn Sign) {
    let algorithm = signer.public_key().algorithm();
    assert_ne!(
        signer.public_key(),
        other.public_key(),
        "{algorithm}: two keys that are one"
    );
    match signer.sign(b"message") {
        Ok(signature) => assert!(
            other.public_key().verify(b"message", &signature).is_err(),
            "{algorithm}: the signature of one key verifies with another"
        ),
        Err(e) => panic!("{algorithm}: {e}"),
    }
}

fn signs_from_many_threads(signer: &dyn Sign) {
    let algorithm = signer.public_key().algorithm();
    thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for i in 0..16 {
                    let message = format!("message {i} of thread {thread}");
                    if let Err(e) = sign_verified(signer, message.as_bytes()) {
                        panic!("{algorithm}: {message}: {e}");
                    }
                }
            });
        }
    });
}

/// On one thread, whether or not the store can do without another.
fn signs_for_many_tasks(signer: &Arc<dyn Sign>) {
    let algorithm = signer.public_key().algorithm();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|e| panic!("no runtime: {e}"));
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..32 {
            let signer = Arc::clone(signer);
            tasks.spawn(sign_verified_async(
                signer,
                format!("message of task {i}").into_bytes(),
                |blocks| async {
                    tokio::task::spawn_blocking(blocks)
                        .await
                        .unwrap_or_else(|e| Err(SignError::Internal(e.to_string())))
                },
            ));
        }
        while let Some(signed) = tasks.join_next().await {
            if let Err(e) = signed.map_err(|e| SignError::Internal(e.to_string())).flatten() {
                panic!("{algorithm}: for a task: {e}");
            }
        }
    });
}
