//! Names and identifiers. Each is parsed once, at the edge; a value of one of
//! these types is a valid one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// The operator's name for a signing key, unique for ever.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// The name of a signing key profile (`default`, `fips`, ...).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {what}: use {rule}")]
pub struct BadName {
    what: &'static str,
    rule: &'static str,
    text: String,
}

macro_rules! name {
    ($type:ident, $what:literal, $rule:literal, $check:expr) => {
        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(s: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> bool = $check;
                if check(s) {
                    Ok(Self(s.to_owned()))
                } else {
                    Err(BadName {
                        what: $what,
                        rule: $rule,
                        text: s.chars().take(64).collect(),
                    })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;

            fn try_from(s: String) -> Result<Self, BadName> {
                s.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(KeyId, "key id", "1 to 128 of A-Z a-z 0-9 . _ -", |s| {
    (1..=128).contains(&s.len())
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
});
name!(
    ProfileName,
    "profile name",
    "1 to 64 of a-z 0-9 - _, starting with a letter",
    |s| {
        (1..=64).contains(&s.len())
            && s.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && s.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    }
);

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $type:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub Uuid);

        impl $type {
            /// A UUIDv7 (RFC 9562 section 5.7) of this moment and these random bytes.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(s: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(s).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

uuid_id!(
    /// Names a trust anchor.
    AnchorId,
    /// Names an attestation.
    AttestationId,
    /// Names an event of the audit log.
    EventId,
    /// Names an access token; not the secret itself.
    TokenId,
);

fn uuid_v7(now: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_bounded_and_plain() {
        assert!("key-2025_prod.1".parse::<KeyId>().is_ok());
        for bad in ["", "a b", "ключ", "a/b", &"k".repeat(129)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_carry_their_moment() {
        let id = AttestationId::new("2025-02-01T00:00:00Z".parse().expect("time"), [0xff; 10]);
        assert_eq!(id.to_string(), "0194bece-a000-7fff-bfff-ffffffffffff");
    }
}
