//! Who a file is for, and who opens it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use bech32::{Bech32, Hrp};
use zeroize::{Zeroize, Zeroizing};

use super::AgeError;

/// `age1...`: an X25519 public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(pub(super) [u8; 32]);

/// `AGE-SECRET-KEY-1...`. Cleansed when dropped, never shown by accident.
pub struct Identity(Zeroizing<[u8; 32]>);

const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");

impl FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let refuse = || AgeError::Recipient(text.chars().take(80).collect());
        let (hrp, bytes) = bech32::decode(text).map_err(|_| refuse())?;
        if hrp != RECIPIENT || text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(refuse());
        }
        bytes.try_into().map(Self).map_err(|_| refuse())
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode::<Bech32>(RECIPIENT, &self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(...)")
    }
}

impl Identity {
    /// From 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    fn parse(text: &str) -> Option<Self> {
        let (hrp, mut bytes) = bech32::decode(text).ok()?;
        let key = <[u8; 32]>::try_from(bytes.as_slice()).ok();
        bytes.zeroize();
        let upper = !text.chars().any(|c| c.is_ascii_lowercase());
        (upper && hrp == IDENTITY).then_some(())?;
        key.map(Self::new)
    }

    /// As it stands in a file.
    pub fn to_text(&self) -> Zeroizing<String> {
        let text = bech32::encode_upper::<Bech32>(IDENTITY, &*self.0);
        Zeroizing::new(text.unwrap_or_default())
    }

    pub fn recipient(&self) -> Option<Recipient> {
        let public = private(&self.0)?.compute_public_key().ok()?;
        public.as_ref().try_into().ok().map(Recipient)
    }

    /// The shared secret; none with a point that has none.
    pub(super) fn agree(&self, share: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        agree(
            &private(&self.0)?,
            UnparsedPublicKey::new(&X25519, share),
            (),
            |secret| {
                let mut kept = Zeroizing::new([0; 32]);
                kept.copy_from_slice(secret);
                Ok(kept)
            },
        )
        .ok()
    }
}

fn private(scalar: &[u8; 32]) -> Option<PrivateKey> {
    PrivateKey::from_private_key(&X25519, scalar).ok()
}

/// The file of `age-keygen`: identities, one a line, and comments.
pub fn read_identities(text: &str) -> Result<Vec<Identity>, AgeError> {
    let mut found = Vec::new();
    for line in lines(text) {
        match Identity::parse(line) {
            Some(identity) => found.push(identity),
            None if line.starts_with("AGE-SECRET-KEY-1") => return Err(AgeError::Identity),
            None => return Err(AgeError::OtherIdentity),
        }
    }
    if found.is_empty() {
        return Err(AgeError::Identity);
    }
    Ok(found)
}

/// Recipients, one a line, and comments.
pub fn read_recipients(text: &str) -> Result<Vec<Recipient>, AgeError> {
    lines(text).map(str::parse).collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}
