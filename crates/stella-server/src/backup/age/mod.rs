//! The age v1 file format (C2SP age.md), as far as backups need it: X25519
//! recipients, no passphrases. Files are those of the `age` tool, which opens
//! them as well.

mod header;
mod keys;
mod stream;

pub use keys::{Identity, Recipient, read_identities, read_recipients};
pub use stream::{Decryptor, Encryptor};

#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    #[error("{0:?} is no age recipient: one begins with age1")]
    Recipient(String),
    #[error("there is no age identity in it: one begins with AGE-SECRET-KEY-1")]
    Identity,
    #[error("it holds an identity of another kind; decrypt with the age tool first")]
    OtherIdentity,
    #[error("it is no age file")]
    NotAge,
    #[error("its header is damaged")]
    Header,
    #[error("it is encrypted to other recipients, or its header is damaged")]
    NotForUs,
    #[error("its content is damaged, or cut off")]
    Content,
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// HKDF with SHA-256 (RFC 5869), to a key of 32 bytes.
fn derived(secret: &[u8], salt: &[u8], info: &[u8]) -> zeroize::Zeroizing<[u8; 32]> {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let mut key = zeroize::Zeroizing::new([0; 32]);
    let parts = [info];
    let expanded = Salt::new(HKDF_SHA256, salt).extract(secret);
    let filled = expanded
        .expand(&parts, HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key));
    // Only a length beyond 255 hashes is refused, and this is one.
    debug_assert!(filled.is_ok());
    key
}
