//! What parent and worker say to each other. Both are of one build: the form
//! is free to change.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stella_core::alg::{Algorithm, PublicKey};
use zeroize::Zeroizing;

use crate::hsm::{
    ErrorClass, HsmError, HsmOptions, KeyReference, Mechanism, MechanismInput, ModuleName, PinState,
    TokenSelector, VendorMechanism,
};
use crate::worker::{FIRST_OF_ROLE, Kind};

/// `number of the opened key: u32`, then what is to be signed. Answered with
/// the signature as the token makes it.
pub const SIGN: Kind = Kind::new(FIRST_OF_ROLE);
/// A [`Request`] as JSON. Answered with JSON.
pub const ASK: Kind = Kind::new(FIRST_OF_ROLE + 1);
/// A [`Login`]. Answered with [`LoggedIn`] as JSON.
pub const LOGIN: Kind = Kind::secret(FIRST_OF_ROLE + 2);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Configuration {
    pub name: ModuleName,
    pub library: PathBuf,
    pub signers: usize,
    pub session_timeout: Duration,
    pub mechanisms: BTreeMap<Algorithm, VendorMechanism>,
}

impl From<&HsmOptions> for Configuration {
    fn from(options: &HsmOptions) -> Self {
        Self {
            name: options.name.clone(),
            library: options.library.clone(),
            signers: options.signers.max(1),
            session_timeout: options.session_timeout,
            mechanisms: options.mechanisms.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Slots,
    Info,
    Token(TokenSelector),
    Open {
        at: KeyReference,
        expected: PublicKey,
    },
    Find(KeyReference),
    Generate {
        token: TokenSelector,
        label: String,
        id: Vec<u8>,
        algorithm: Algorithm,
    },
}

impl Request {
    /// What the module is doing when it does not answer.
    pub fn function(&self) -> &'static str {
        match self {
            Self::Slots => "C_GetSlotList",
            Self::Info => "C_GetInfo",
            Self::Token(_) => "C_GetTokenInfo",
            Self::Open { .. } | Self::Find(_) => "C_FindObjects",
            Self::Generate { .. } => "C_GenerateKeyPair",
        }
    }
}

/// Both are needed: a module was seen whose tokens all have one serial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenName {
    pub label: String,
    pub serial: String,
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" (serial {})", self.label, self.serial)
    }
}

impl From<TokenName> for TokenSelector {
    fn from(name: TokenName) -> Self {
        Self::Token {
            label: name.label,
            serial: Some(name.serial),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub slot: u64,
    pub name: TokenName,
    pub pin: PinState,
}

/// A key that is ready to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// Good for the life of this worker.
    pub number: u32,
    pub token: Token,
    pub mechanism: Mechanism,
    pub input: MechanismInput,
    /// Its signatures are as the product reads them, not as PKCS#11 has them.
    pub finished: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    pub token: Token,
    pub label: Option<String>,
    pub id: Option<Vec<u8>>,
    pub public_key: Option<PublicKey>,
    pub key_type: String,
    pub sensitive: Option<bool>,
    pub extractable: Option<bool>,
    pub always_sensitive: Option<bool>,
    pub never_extractable: Option<bool>,
    pub local: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Generated {
    pub token: Token,
    pub public_key: PublicKey,
}

/// `force` and `doubt` as bits of a `u8`, label and serial of the token, each after its length as
/// `u16`, then the PIN: written by hand, so that no copy of the PIN is left in
/// a buffer that nobody cleanses.
#[derive(Debug, PartialEq, Eq)]
pub struct Login<'a> {
    pub force: bool,
    /// A try before this one had no answer: the token may have counted it.
    pub doubt: bool,
    pub token: TokenName,
    pub pin: &'a [u8],
}

impl<'a> Login<'a> {
    pub fn encode(&self) -> Option<Zeroizing<Vec<u8>>> {
        let words = [&self.token.label, &self.token.serial];
        let size = 1 + words.iter().map(|word| 2 + word.len()).sum::<usize>() + self.pin.len();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        out.push(u8::from(self.force) | u8::from(self.doubt) << 1);
        for word in words {
            out.extend_from_slice(&u16::try_from(word.len()).ok()?.to_be_bytes());
            out.extend_from_slice(word.as_bytes());
        }
        out.extend_from_slice(self.pin);
        Some(out)
    }

    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let (flags, mut rest) = body.split_first()?;
        let mut word = || {
            let (length, after) = rest.split_first_chunk()?;
            let (word, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some(std::str::from_utf8(word).ok()?.to_owned())
        };
        let (label, serial) = (word()?, word()?);
        Some(Self {
            force: flags & 1 != 0,
            doubt: flags & 2 != 0,
            token: TokenName { label, serial },
            pin: rest,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedIn {
    /// As the flags stood before the PIN was tried. None when the token was
    /// logged in already and nothing was tried.
    pub before: Option<PinState>,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Nobody is logged in to the token.
    LoginNeeded(TokenName),
    /// A key of that label is there.
    LabelTaken(String),
    UnsupportedAlgorithm(Algorithm),
    Pkcs11 {
        class: ErrorClass,
        function: Option<String>,
        ckr: Option<String>,
        detail: String,
        /// A new worker may do better.
        restart: bool,
    },
}

impl Failure {
    pub fn new(class: ErrorClass, detail: impl Into<String>) -> Self {
        Self::Pkcs11 {
            class,
            function: None,
            ckr: None,
            detail: detail.into(),
            restart: matches!(class, ErrorClass::Module),
        }
    }

    pub fn wants_restart(&self) -> bool {
        matches!(self, Self::Pkcs11 { restart: true, .. })
    }

    pub fn into_error(self, module: &str) -> HsmError {
        match self {
            Self::Pkcs11 {
                class,
                function,
                ckr,
                detail,
                ..
            } => HsmError {
                function: function.map(Into::into),
                ckr: ckr.map(Into::into),
                ..HsmError::new(class, module, detail)
            },
            Self::LoginNeeded(token) => HsmError::new(
                ErrorClass::Auth,
                module,
                format!("nobody is logged in to the token {token}"),
            ),
            Self::LabelTaken(label) => HsmError::new(
                ErrorClass::Config,
                module,
                format!("the token has a key labelled \"{label}\""),
            ),
            Self::UnsupportedAlgorithm(algorithm) => HsmError::new(
                ErrorClass::Config,
                module,
                format!("the token has no mechanism for {algorithm}"),
            ),
        }
    }
}

/// Long names of the algorithms that tokens treat each in its own way.
pub const ECDSA_P256: &str = "SHA256-ECDSA-P256";
pub const ED25519: &str = "SHA256-ED25519";
pub const ML_DSA_65: &str = "ML-DSA-65";
pub const GOST: &str = "GOST-R-34.10-2012";
pub const SM2: &str = "SM2-P256";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_arrives_as_it_was_sent() {
        let login = Login {
            force: true,
            doubt: false,
            token: TokenName {
                label: "stella".to_owned(),
                serial: "79f0".to_owned(),
            },
            pin: b"12\xff34",
        };
        let body = login.encode().expect("body");
        for cut in 0..body.len() - login.pin.len() {
            assert!(Login::decode(&body[..cut]).is_none());
        }
        assert_eq!(Login::decode(&body), Some(login));
    }
}
