//! Keys of local HSMs: signing with one, making one.

use std::sync::Arc;

use stella_core::alg::Algorithm;
use stella_core::id::KeyId;
use stella_core::trust::KeyRecord;
use stella_keys::Sign;
use stella_keys::local_hsm::LocalReference;

use crate::app::App;
use crate::app::crypto::hsm::{MadeOnToken, TokenKey, not_made};
use crate::app::error::{Error, Result};

impl App {
    /// Something that signs with a key of a local HSM.
    pub(in crate::app) fn open_in_local_hsm(&self, key: &KeyRecord, uri: &str) -> Result<Arc<dyn Sign>> {
        let named = reference(uri)?;
        let hsm = self.local_hsm_of(named.name.as_str())?;
        let at = named.to_key_reference();
        Ok(Arc::new(TokenKey::new(hsm, at, key.public_key.clone())))
    }

    pub(in crate::app) async fn make_in_local_hsm(
        &self,
        id: &KeyId,
        algorithm: Algorithm,
        uri: &str,
    ) -> Result<MadeOnToken> {
        let named = reference(uri)?;
        if named.key.is_some() {
            return Err(Error::conflict(
                "key-store.names-a-key",
                format!("{named} names one key, and a new one is made in a local HSM"),
            )
            .next(format!("name hsm://local/{} alone", named.name)));
        }
        let (hsm, label) = (self.local_hsm_of(named.name.as_str())?, id.to_string());
        let token = named.to_key_reference().token;
        let made = tokio::task::spawn_blocking(move || hsm.generate(&token, &label, algorithm));
        let (_, public_key) = made
            .await
            .map_err(|e| Error::internal(e.to_string()))?
            .map_err(|e| not_made(&e, &format!("stella crypto local-hsm status {}", named.name)))?;
        let at = LocalReference {
            key: Some(id.clone()),
            ..named
        };
        Ok(MadeOnToken {
            store: at.to_string(),
            public_key,
        })
    }
}

fn reference(uri: &str) -> Result<LocalReference> {
    uri.parse()
        .map_err(|e| Error::invalid("key-store.reference", e).next("stella config list"))
}
