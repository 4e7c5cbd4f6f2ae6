//! Key-store URIs: where a profile's keys are held.

use std::fmt;
use std::str::FromStr;

use stella_keys::hsm::{BadReference, KeyReference};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStoreUri {
    Software,
    /// A token, and perhaps a key on it.
    Pkcs11(KeyReference),
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
pub enum BadKeyStore {
    #[error(
        "\"{0}\" is not a key store: write software://, hsm://pkcs11/slot/N, hsm://pkcs11/token/LABEL, hsm://local/NAME or kms://aws/key/ALIAS"
    )]
    Unknown(String),
    #[error(transparent)]
    Pkcs11(#[from] BadReference),
}

impl FromStr for KeyStoreUri {
    type Err = BadKeyStore;

    fn from_str(s: &str) -> Result<Self, BadKeyStore> {
        let refuse = || BadKeyStore::Unknown(s.chars().take(128).collect());
        if s.starts_with("hsm://pkcs11/") || s.starts_with("pkcs11:") {
            return Ok(Self::Pkcs11(s.parse()?));
        }
        let (scheme, path) = s.split_once("://").ok_or_else(refuse)?;
        if path.contains('?') {
            return Err(refuse());
        }
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned()).ok_or_else(refuse);
        match (scheme, path.split('/').collect::<Vec<_>>().as_slice()) {
            ("software", [""]) => Ok(Self::Software),
            ("hsm", ["local", name]) => Ok(Self::LocalHsm { name: named(name)? }),
            // An alias may hold slashes.
            ("kms", ["aws", "key", key @ ..]) => Ok(Self::AwsKms {
                key: named(&key.join("/"))?,
            }),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for KeyStoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software => f.write_str("software://"),
            Self::Pkcs11(reference) => reference.fmt(f),
            Self::LocalHsm { name } => write!(f, "hsm://local/{name}"),
            Self::AwsKms { key } => write!(f, "kms://aws/key/{key}"),
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
        // Read, and written in the product's own way.
        let uri: KeyStoreUri = "pkcs11:token=stella;object=fips-a".parse().expect("RFC 7512");
        assert_eq!(uri.to_string(), "hsm://pkcs11/token/stella?object=fips-a");
        for bad in [
            "",
            "software",
            "software://x",
            "hsm://pkcs11/slot/x",
            "hsm://pkcs11/token/",
            "hsm://pkcs11/token/stella?objekt=x",
            "pkcs11:token=stella?pin-value=1234",
            "hsm://",
            "kms://aws/key/",
            "file:///etc/key",
        ] {
            assert!(bad.parse::<KeyStoreUri>().is_err(), "{bad}");
        }
    }
}
