//! Keys on tokens: which one a URI means, signing with it, making one.

use std::sync::{Arc, OnceLock};

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::id::KeyId;
use stella_core::trust::KeyRecord;
use stella_keys::hsm::{Hsm, KeyReference, TokenSelector};
use stella_keys::{GenerateError, Sign, SignError, Signing, StoreDescription};

use crate::app::App;
use crate::app::error::{Error, Result};

/// A key as a token made it.
pub(in crate::app) struct MadeOnToken {
    /// Where this very key is, for ever.
    pub store: String,
    pub public_key: PublicKey,
}

impl App {
    /// Something that signs with a key on a token. Nobody is asked yet.
    pub(in crate::app) fn open_on_token(&self, key: &KeyRecord, uri: &str) -> Result<Arc<dyn Sign>> {
        let at = reference(uri)?;
        let module = self.module_of(&at)?;
        Ok(Arc::new(TokenKey::new(module, at, key.public_key.clone())))
    }

    /// A new key, labelled by its id, on the token that the URI names.
    pub(in crate::app) async fn make_on_token(
        &self,
        id: &KeyId,
        algorithm: Algorithm,
        uri: &str,
    ) -> Result<MadeOnToken> {
        let at = reference(uri)?;
        if at.object.is_some() || at.id.is_some() {
            return Err(Error::conflict(
                "key-store.names-a-key",
                format!("{at} names one key, and a new one is made on a token"),
            )
            .next(format!(
                "stella keys import --profile PROFILE --key-id {id} --key-store '{at}', or leave object and id out"
            )));
        }
        let (module, label) = (self.module_of(&at)?, id.to_string());
        let name = module.name().clone();
        let made = tokio::task::spawn_blocking(move || module.generate(&at.token, &label, algorithm));
        let (at, public_key) = made
            .await
            .map_err(|e| Error::internal(e.to_string()))?
            .map_err(|e| not_made(&e, &format!("stella crypto hsm auth verify --module {name}")))?;
        Ok(MadeOnToken {
            store: at.to_string(),
            public_key,
        })
    }

    pub(super) fn module_of(&self, at: &KeyReference) -> Result<Arc<dyn Hsm>> {
        let name = at.module.as_ref().map(|name| name.as_str());
        self.module(self.module_settings(name)?)
    }
}

pub(super) fn reference(uri: &str) -> Result<KeyReference> {
    uri.parse::<KeyReference>()
        .map_err(|e| Error::invalid("key-store.reference", e).next("stella crypto hsm slots list"))
}

/// `login` is the command that looks into a login that was refused.
pub(in crate::app) fn not_made(error: &GenerateError, login: &str) -> Error {
    let (code, text) = (error.code(), error.to_string());
    match error {
        GenerateError::Unavailable(_) => {
            Error::unavailable(code, text).next("stella doctor --check check.crypto.hsm-availability")
        }
        GenerateError::Unauthenticated(_) => Error::unavailable(code, text).next(login),
        GenerateError::Exists(_) => Error::conflict(code, text)
            .next("another --key-id, or stella keys import --key-store to use that key"),
        GenerateError::UnsupportedAlgorithm(_) | GenerateError::Refused(_) => {
            Error::conflict(code, text).next("stella crypto providers list")
        }
        GenerateError::Internal(_) => Error::internal(text),
    }
}

/// Opened by the first signature that it makes: until then a module that is
/// down is nobody's trouble, and what goes wrong is an error of signing.
pub(in crate::app) struct TokenKey {
    module: Arc<dyn Hsm>,
    at: KeyReference,
    public_key: PublicKey,
    open: OnceLock<Arc<dyn Sign>>,
}

impl TokenKey {
    pub fn new(module: Arc<dyn Hsm>, at: KeyReference, public_key: PublicKey) -> Self {
        Self {
            module,
            at,
            public_key,
            open: OnceLock::new(),
        }
    }
}

impl Sign for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignError> {
        if let Some(open) = self.open.get() {
            return open.sign(message);
        }
        let found = self.module.key(&self.at, &self.public_key)?;
        self.open.get_or_init(|| found).sign(message)
    }

    fn begin(&self, message: &Arc<[u8]>) -> Option<Signing> {
        self.open.get()?.begin(message)
    }

    fn describe(&self) -> StoreDescription {
        if let Some(open) = self.open.get() {
            return open.describe();
        }
        let token = match &self.at.token {
            TokenSelector::Slot(slot) => slot.to_string(),
            TokenSelector::Token { label, .. } => format!("token {label}"),
        };
        StoreDescription {
            store: format!("hsm {}", self.module.name()),
            mechanism: "not known before it signs".to_owned(),
            slot: Some(token),
        }
    }
}
