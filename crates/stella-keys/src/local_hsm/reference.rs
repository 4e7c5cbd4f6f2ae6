//! `hsm://local/NAME?object=KEY`: which local HSM, which of its keys.

use std::fmt;
use std::str::FromStr;

use stella_core::id::KeyId;

use crate::hsm::{KeyReference, ModuleName, TokenSelector};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalReference {
    /// Of the local HSM, and of the module that runs it.
    pub name: ModuleName,
    /// None where only the HSM is named.
    pub key: Option<KeyId>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" names no local HSM: {why}")]
pub struct BadLocalReference {
    text: String,
    why: String,
}

impl LocalReference {
    /// As [`Hsm`](crate::hsm::Hsm) is asked for it.
    pub fn to_key_reference(&self) -> KeyReference {
        KeyReference {
            module: Some(self.name.clone()),
            token: TokenSelector::Token {
                label: self.name.to_string(),
                serial: None,
            },
            object: self.key.as_ref().map(KeyId::to_string),
            id: None,
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let form = || "write hsm://local/NAME or hsm://local/NAME?object=KEY".to_owned();
        let rest = text.strip_prefix(PREFIX).ok_or_else(form)?;
        let (name, query) = match rest.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (rest, None),
        };
        // It is the name of a folder, too.
        if name.starts_with('.') {
            return Err("its name begins with a letter, a digit, _ or -".to_owned());
        }
        let key = match query {
            None => None,
            Some(query) => {
                let key = query.strip_prefix("object=").ok_or_else(form)?;
                Some(key.parse().map_err(|e: stella_core::id::BadName| e.to_string())?)
            }
        };
        Ok(Self {
            name: name.parse().map_err(|_| form())?,
            key,
        })
    }
}

impl FromStr for LocalReference {
    type Err = BadLocalReference;

    fn from_str(s: &str) -> Result<Self, BadLocalReference> {
        Self::read(s).map_err(|why| BadLocalReference {
            text: s.chars().take(128).collect(),
            why,
        })
    }
}

impl fmt::Display for LocalReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.name)?;
        match &self.key {
            Some(key) => write!(f, "?object={key}"),
            None => Ok(()),
        }
    }
}

const PREFIX: &str = "hsm://local/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["hsm://local/gost", "hsm://local/sm2-a?object=key-2026.prod"] {
            let read: LocalReference = text.parse().expect(text);
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_name_cannot_lead_out_of_its_folder() {
        for text in [
            "hsm://local/",
            "hsm://local/..",
            "hsm://local/.hidden",
            "hsm://local/a/b",
            "hsm://local/a?object=",
            "hsm://local/a?object=../b",
            "hsm://local/a?pin=1234",
            "hsm://pkcs11/token/a",
        ] {
            assert!(text.parse::<LocalReference>().is_err(), "{text}");
        }
    }
}
