//! `keys import`: a key made elsewhere.

use stella_core::alg::PublicKey;
use stella_core::api::keys::{ImportKey, Key};
use stella_core::trust::KeyType;
use stella_core::trust::decide::key::{NewOwnKey, check_free, enter_external, enter_own};
use stella_keys::Sign as _;
use stella_keys::software::SoftwareKey;
use stella_store::SealedKeyRow;
use zeroize::Zeroizing;

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, signers, values};

impl App {
    pub async fn import_key(&self, caller: &Caller, request: ImportKey) -> Result<Key> {
        let id = values::key_id(&request.key_id)?;
        let created_at = request
            .created_at
            .as_deref()
            .map(|t| values::time(t, self.now()))
            .transpose()?;
        let state = match (&request.private_key, &request.public_key) {
            (Some(_), _) => {
                let private = Zeroizing::new(request.private_key.clone().unwrap_or_default());
                self.import_private(caller, &request, id.clone(), &private, created_at)
                    .await?
            }
            (None, Some(text)) => {
                if request.profile.is_some() || request.standby {
                    return Err(Error::invalid(
                        "key.needs-private",
                        "a key of a profile signs, so it needs its private half; a public key alone takes no --profile",
                    ));
                }
                let key = public_key(text)?;
                let decide = |state: &_, now| {
                    Ok(Decision::new(
                        enter_external(state, id.clone(), key.clone(), created_at, now)?,
                        (),
                    ))
                };
                self.change(caller, decide).await?.1
            }
            (None, None) => {
                return Err(Error::invalid(
                    "key.nothing-to-import",
                    "give a public key, or a private key with its profile",
                ));
            }
        };
        let record = state
            .keys
            .get(&id)
            .ok_or_else(|| Error::internal("the imported key is not in the state"))?;
        Ok(super::view(record, &state, self.now()))
    }

    async fn import_private(
        &self,
        caller: &Caller,
        request: &ImportKey,
        id: stella_core::id::KeyId,
        private: &str,
        created_at: Option<stella_core::time::Timestamp>,
    ) -> Result<std::sync::Arc<stella_core::trust::TrustState>> {
        let name = values::profile(request.profile.as_deref().unwrap_or("default"))?;
        let profile = self.settings.profiles.get(&name).ok_or_else(|| {
            Error::not_found("profile.unknown", format!("no profile named {name}")).next("stella config list")
        })?;
        if signers::scheme(&profile.key_store) != "software" {
            return Err(signers::unsupported(&profile.key_store));
        }
        let key = SoftwareKey::import(private.as_bytes()).map_err(|e| Error::invalid(e.code(), e))?;
        if key.algorithm() != profile.algorithm {
            return Err(Error::invalid(
                "key.algorithm",
                format!(
                    "profile {name} signs with {}, this key is of {}",
                    profile.algorithm,
                    key.algorithm()
                ),
            ));
        }
        if let Some(stated) = &request.public_key
            && public_key(stated)? != *key.public_key()
        {
            return Err(Error::invalid(
                "key.halves-differ",
                "the public key given is not that of the private key",
            ));
        }
        check_free(&*self.trust_head().await?, &id, Some(key.public_key()))?;
        let sealed = key
            .seal(self.signers.sealer()?, &id, &mut self.key_entropy())
            .and_then(|sealed| sealed.to_bytes())
            .map_err(|e| Error::unavailable(e.code(), e.to_string()))?;
        let months = i32::try_from(profile.max_age_months).unwrap_or(i32::MAX);
        let ((), state) = self
            .change(caller, |state, now| {
                let born = created_at.unwrap_or(now);
                let new = NewOwnKey {
                    key_id: id.clone(),
                    key_type: KeyType::Signing,
                    public_key: key.public_key().clone(),
                    profile: name.clone(),
                    store: profile.key_store.clone(),
                    created_at: born,
                    not_after: Some(born.plus_months(months)),
                    standby: request.standby,
                    imported: true,
                };
                let mut decision = Decision::new(enter_own(state, new, now)?, ());
                decision.sealed_keys.push(SealedKeyRow {
                    key_id: id.clone(),
                    blob: sealed.clone(),
                });
                Ok(decision)
            })
            .await?;
        Ok(state)
    }
}

/// PEM, or base64 of a SubjectPublicKeyInfo.
pub fn public_key(text: &str) -> Result<PublicKey> {
    let parsed = if text.trim_start().starts_with("-----") {
        PublicKey::from_pem(text)
    } else {
        PublicKey::from_base64(text.trim())
    };
    parsed.map_err(|e| Error::invalid(e.code(), e))
}
