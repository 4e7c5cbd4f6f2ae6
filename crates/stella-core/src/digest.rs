//! SHA-256 digests, the identity of everything Stella stores.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest (FIPS 180-4), written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hex digits, optionally after \"sha256:\"")]
pub struct NotADigest;

impl Sha256 {
    pub fn of(data: &[u8]) -> Self {
        Self::of_parts(&[data])
    }

    /// The digest of the parts one after another, without joining them first.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut stream = Sha256Stream::new();
        for part in parts {
            stream.update(part);
        }
        stream.finish()
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Enough of it to tell a few from millions.
    pub fn start(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }

    pub fn to_hex(&self) -> String {
        self.in_hex(&mut [0; 64]).to_owned()
    }

    /// Its hex, written there.
    fn in_hex<'a>(&self, to: &'a mut [u8; 64]) -> &'a str {
        // It has room, and what is written is ASCII.
        let written = hex::encode_to_slice(self.0, to.as_mut_slice());
        debug_assert!(written.is_ok());
        std::str::from_utf8(to).unwrap_or_default()
    }
}

/// Bytes with their digest. One is made of the other here and nowhere else, so
/// whoever rests on the digest rests on these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    bytes: Vec<u8>,
    sha256: Sha256,
}

impl Hashed {
    pub fn of(bytes: Vec<u8>) -> Self {
        let sha256 = Sha256::of(&bytes);
        Self { bytes, sha256 }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }
}

/// The same digest over bytes that arrive piece by piece.
#[derive(Clone)]
pub struct Sha256Stream(digest::Context);

impl Default for Sha256Stream {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256Stream {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub fn finish(self) -> Sha256 {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        Sha256(out)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_hex(&mut [0; 64]))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_hex(&mut [0; 64]))
    }
}

/// Upper and lower case, with or without the `sha256:` that people paste.
impl FromStr for Sha256 {
    type Err = NotADigest;

    fn from_str(s: &str) -> Result<Self, NotADigest> {
        let digits = s.strip_prefix("sha256:").unwrap_or(s);
        let mut out = [0; 32];
        hex::decode_to_slice(digits, &mut out).map_err(|_| NotADigest)?;
        Ok(Self(out))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.in_hex(&mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_standard_vector_and_survives_text() {
        let abc = Sha256::of_parts(&[b"a", b"bc"]);
        assert_eq!(
            abc.to_hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(format!("sha256:{}", abc.to_hex().to_uppercase()).parse(), Ok(abc));
        assert_eq!("sha256:abc".parse::<Sha256>(), Err(NotADigest));
    }
}
