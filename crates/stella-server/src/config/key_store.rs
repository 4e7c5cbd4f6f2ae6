//! Key-store URIs: where a profile's keys are held.

use std::fmt;
use std::str::FromStr;

use stella_keys::hsm::{BadReference, KeyReference};

/// The URI, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStoreUri {
    Software,
    /// A token, or one key on it.
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
#[error(
    "\"{text}\" is not a key store{why}: write software://, hsm://pkcs11/slot/N, hsm://pkcs11/token/LABEL, hsm://local/NAME or kms://aws/key/ALIAS"
)]
pub struct BadKeyStore {
    text: String,
    /// Empty, or ` (reason)`.
    why: String,
}

impl FromStr for KeyStoreUri {
    type Err = BadKeyStore;

    fn from_str(s: &str) -> Result<Self, BadKeyStore> {
        let refused = |why: String| BadKeyStore {
            text: s
                .split('?')
                .next()
                .unwrap_or_default()
                .chars()
                .take(128)
                .collect(),
            why,
        };
        let refuse = || refused(String::new());
        if s.starts_with("pkcs11:") || s.starts_with("hsm://pkcs11/") {
            return s
                .parse()
                .map(Self::Pkcs11)
                .map_err(|e: BadReference| refused(format!(" ({})", e.why())));
        }
        let (scheme, rest) = s.split_once("://").ok_or_else(refuse)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned()).ok_or_else(refuse);
        match (scheme, path.split('/').collect::<Vec<_>>().as_slice()) {
            ("software", [""]) if query.is_none() => Ok(Self::Software),
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
        match self {
            Self::Software => f.write_str("software://"),
            Self::Pkcs11(at) => at.fmt(f),
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
        let uri: KeyStoreUri = "pkcs11:token=stella;object=a".parse().expect("RFC 7512");
        assert_eq!(uri.to_string(), "hsm://pkcs11/token/stella?object=a");
        let secret: BadKeyStore = "pkcs11:token=a?pin-value=1234"
            .parse::<KeyStoreUri>()
            .expect_err("a PIN");
        assert!(secret.to_string().contains("pinFile"), "{secret}");
        assert!(!secret.to_string().contains("1234"), "{secret}");
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
