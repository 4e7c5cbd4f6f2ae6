//! From a key's record to something that signs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use stella_core::id::KeyId;
use stella_core::trust::KeyRecord;
use stella_keys::Sign;
use stella_keys::software::{SealedKey, Sealer, SoftwareKey};
use tokio::sync::{Notify, RwLock};

use crate::app::error::{Error, Result};
use crate::app::pool::Pool;
use crate::app::{App, aws_kms, local_hsm};

/// Opened keys are kept: a key's material never changes under its id.
pub struct Signers {
    /// Present where software keys can be sealed and opened here.
    pub sealer: Option<Arc<Sealer>>,
    pub kms: aws_kms::Started,
    pub local: local_hsm::Locals,
    /// Which stores answer.
    pub pool: Pool,
    /// Told when a store answers again.
    pub recovered: Notify,
    open: RwLock<HashMap<KeyId, Vec<Open>>>,
}

/// A key, opened in one of its stores.
struct Open {
    store: String,
    signer: Arc<dyn Sign>,
}

impl Signers {
    pub fn new(sealer: Option<Sealer>) -> Self {
        Self {
            sealer: sealer.map(Arc::new),
            kms: aws_kms::Started::default(),
            local: local_hsm::Locals::default(),
            pool: Pool::default(),
            recovered: Notify::new(),
            open: RwLock::default(),
        }
    }

    /// From now on this signs for the key in that store.
    pub async fn keep(&self, id: &KeyId, store: &str, signer: &Arc<dyn Sign>) {
        let mut open = self.open.write().await;
        let kept = open.entry(id.clone()).or_default();
        kept.retain(|open| open.store != store);
        kept.push(Open {
            store: store.to_owned(),
            signer: Arc::clone(signer),
        });
    }

    async fn kept(&self, id: &KeyId, store: &str) -> Option<Arc<dyn Sign>> {
        let open = self.open.read().await;
        let kept = open.get(id)?.iter().find(|open| open.store == store)?;
        Some(Arc::clone(&kept.signer))
    }

    /// Opened keys are opened again when they are next needed.
    pub async fn forget(&self) {
        self.open.write().await.clear();
        self.kms.forget();
        self.local.forget();
        self.pool.close_all(Instant::now());
    }

    pub fn sealer(&self) -> Result<&Sealer> {
        self.sealer.as_deref().ok_or_else(|| {
            Error::unavailable(
                "key-store.no-sealing-key",
                "software keys cannot be opened: the sealing key is not here",
            )
            .next("restore sealing.key into the home from your backup")
        })
    }
}

/// The kind of store a URI names.
pub fn scheme(uri: &str) -> &str {
    uri.split_once("://").map_or(uri, |(scheme, _)| scheme)
}

/// A process of our own, and no vendor's module.
pub fn is_local(uri: &str) -> bool {
    uri.starts_with(LOCAL)
}

/// The command that looks into a store which does not sign.
pub fn diagnosis(uri: &str) -> Option<String> {
    if let Some(rest) = uri.strip_prefix(LOCAL) {
        let name = rest.split('?').next().unwrap_or_default();
        return Some(format!("stella crypto local-hsm status {name}"));
    }
    (scheme(uri) == "hsm").then(|| "stella doctor --check check.crypto.hsm-availability".to_owned())
}

const LOCAL: &str = "hsm://local/";

impl App {
    /// Something that signs with this key in its first store. What it signs
    /// must go through [`stella_keys::sign_verified`].
    pub async fn signer(&self, key: &KeyRecord) -> Result<Arc<dyn Sign>> {
        let Some(own) = key.own() else {
            return Err(Error::conflict(
                "key.external",
                format!("{} only verifies here: its private half is elsewhere", key.id),
            ));
        };
        self.signer_in(key, &own.store).await
    }

    /// The same in one of its stores, whichever it is.
    pub async fn signer_in(&self, key: &KeyRecord, store: &str) -> Result<Arc<dyn Sign>> {
        if let Some(open) = self.signers.kept(&key.id, store).await {
            return Ok(open);
        }
        let signer: Arc<dyn Sign> = match scheme(store) {
            "software" => Arc::new(self.open_software(key).await?),
            "kms" => self.open_in_kms(key, store)?,
            "hsm" if is_local(store) => self.open_in_local_hsm(key, store)?,
            "hsm" => self.open_on_token(key, store)?,
            _ => return Err(unsupported(store)),
        };
        if signer.public_key() != &key.public_key {
            return Err(Error::unavailable(
                "key-store.other-key",
                format!("the store holds another key under the name {}", key.id),
            )
            .next("stella db verify"));
        }
        self.signers.keep(&key.id, store, &signer).await;
        Ok(signer)
    }

    async fn open_software(&self, key: &KeyRecord) -> Result<SoftwareKey> {
        let blob = self.store.sealed_key(&key.id).await?.ok_or_else(|| {
            Error::unavailable(
                "key-store.key-missing",
                format!("the sealed key {} is not in the store", key.id),
            )
            .next("stella db verify")
        })?;
        let refuse = |e: stella_keys::software::OpenError| {
            Error::unavailable(e.code(), format!("the key {} cannot be opened: {e}", key.id))
                .next("stella db verify")
        };
        let sealed = SealedKey::from_bytes(&blob).map_err(refuse)?;
        SoftwareKey::open(
            &sealed,
            self.signers.sealer()?,
            &key.id,
            key.public_key.algorithm(),
        )
        .map_err(refuse)
    }
}

pub fn unsupported(uri: &str) -> Error {
    Error::unavailable(
        "key-store.unsupported",
        format!(
            "this build has no key store for {}",
            uri.split('?').next().unwrap_or(uri)
        ),
    )
    .next("stella crypto providers list")
}
