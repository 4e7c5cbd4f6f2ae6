//! Which keys are used in which module.

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::id::{KeyId, ProfileName};
use stella_core::trust::{KeyState, TrustState};
use stella_keys::hsm::{KeyReference, TokenSelector};

use crate::app::App;
use crate::config::HsmModule;

/// A key that signs, or stands by to.
#[derive(Debug, Clone)]
pub(crate) struct UsedKey {
    pub id: KeyId,
    pub at: KeyReference,
    pub public_key: PublicKey,
}

/// A profile whose keys are made on a token of the module.
#[derive(Debug, Clone)]
pub(crate) struct UsedProfile {
    pub name: ProfileName,
    pub algorithm: Algorithm,
    pub token: TokenSelector,
}

impl App {
    /// Of every module of the configuration, and of those that are not in it.
    /// A key is there once for each of its tokens.
    pub(crate) fn keys_in_modules(&self, trust: &TrustState) -> Vec<UsedKey> {
        let now = self.not_before(trust);
        trust
            .keys
            .values()
            .filter(|key| matches!(key.state(now), KeyState::Active | KeyState::Standby))
            .flat_map(|key| {
                key.stores().filter_map(|store| {
                    Some(UsedKey {
                        id: key.id.clone(),
                        at: store.parse().ok()?,
                        public_key: key.public_key.clone(),
                    })
                })
            })
            .collect()
    }

    pub(crate) fn keys_in(&self, trust: &TrustState, module: &HsmModule) -> Vec<UsedKey> {
        let mut keys = self.keys_in_modules(trust);
        keys.retain(|key| self.is_in(&key.at, module));
        keys
    }

    pub(super) fn profiles_in(&self, module: &HsmModule) -> Vec<UsedProfile> {
        self.settings
            .profiles
            .iter()
            .filter_map(|(name, profile)| {
                let at: KeyReference = profile.key_store.parse().ok()?;
                self.is_in(&at, module).then(|| UsedProfile {
                    name: name.clone(),
                    algorithm: profile.algorithm,
                    token: at.token,
                })
            })
            .collect()
    }

    /// Where no module is named the first is meant.
    fn is_in(&self, at: &KeyReference, module: &HsmModule) -> bool {
        match &at.module {
            Some(name) => name.as_str() == module.name,
            None => self.settings.hsm.modules.first() == Some(module),
        }
    }
}
