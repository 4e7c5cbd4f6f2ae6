//! Key-store URIs: where a profile's keys are held.

use std::fmt;
use std::str::FromStr;

/// The URI, read. What follows `?` (a module, an object) is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStoreUri {
    Software,
    Pkcs11Slot {
        slot: u64,
        query: Option<String>,
    },
    Pkcs11Token {
        label: String,
        query: Option<String>,
    },
    /// The built-in local HSM.
    LocalHsm {
        name: String,
    },
    /// An alias or a key id.
    AwsKms {
        key: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a key store: write software://, hsm://pkcs11/slot/N, hsm://pkcs11/token/LABEL, hsm://local/NAME or kms://aws/key/ALIAS"
)]
pub struct BadKeyStore(String);

impl FromStr for KeyStoreUri {
    type Err = BadKeyStore;

    fn from_str(s: &str) -> Result<Self, BadKeyStore> {
        let refuse = || BadKeyStore(s.chars().take(128).collect());
        let (scheme, rest) = s.split_once("://").ok_or_else(refuse)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned()).ok_or_else(refuse);
        match (scheme, path.split('/').collect::<Vec<_>>().as_slice()) {
            ("software", [""]) if query.is_none() => Ok(Self::Software),
            ("hsm", ["pkcs11", "slot", slot]) => Ok(Self::Pkcs11Slot {
                slot: slot.parse().map_err(|_| refuse())?,
                query,
            }),
            ("hsm", ["pkcs11", "token", label]) => Ok(Self::Pkcs11Token {
                label: named(label)?,
                query,
            }),
            ("hsm", ["local", name]) if query.is_none() => Ok(Self::LocalHsm { name: named(name)? }),
            // An alias may hold slashes.
            ("kms", ["aws", "key", key @ ..]) if query.is_none() => Ok(Self::AwsKms {
                key: named(&key.join("/"))?,
            }),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for KeyStoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, query) = match self {
            Self::Software => ("software://".to_owned(), &None),
            Self::Pkcs11Slot { slot, query } => (format!("hsm://pkcs11/slot/{slot}"), query),
            Self::Pkcs11Token { label, query } => (format!("hsm://pkcs11/token/{label}"), query),
            Self::LocalHsm { name } => (format!("hsm://local/{name}"), &None),
            Self::AwsKms { key } => (format!("kms://aws/key/{key}"), &None),
        };
        f.write_str(&place)?;
        match query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in [
            "software://",
            "hsm://pkcs11/slot/0",
            "hsm://pkcs11/token/stella",
            "hsm://pkcs11/token/prod?object=LABEL&id=%0A",
            "hsm://local/gost",
            "kms://aws/key/stellaops-default",
            "kms://aws/key/alias/pay",
        ] {
            let uri: KeyStoreUri = text.parse().expect(text);
            assert_eq!(uri.to_string(), text);
        }
        for bad in [
            "",
            "software",
            "software://x",
            "hsm://pkcs11/slot/x",
            "hsm://pkcs11/token/",
            "hsm://",
            "kms://aws/key/",
            "file:///etc/key",
        ] {
            assert!(bad.parse::<KeyStoreUri>().is_err(), "{bad}");
        }
    }
}
