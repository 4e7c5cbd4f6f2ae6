//! What the use cases ask for: run-time settings over those of the file.

use std::time::Duration;

use stella_core::id::{KeyId, ProfileName};
use stella_core::trust::{KeyState, KeyType, TrustState};

use super::table;
use crate::app::App;
use crate::config::{self, HsmModule};

/// Which kind of key store signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningMode {
    /// Each profile's own.
    Auto,
    Hsm,
    Kms,
    Software,
}

impl SigningMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Hsm => "hsm",
            Self::Kms => "kms",
            Self::Software => "software",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        [Self::Hsm, Self::Kms, Self::Software]
            .into_iter()
            .find(|m| m.as_str() == text)
            .unwrap_or(Self::Auto)
    }
}

impl App {
    /// How long a key that was replaced stays `retiring`.
    pub fn overlap(&self, state: &TrustState) -> Duration {
        match set::<u32>(state, table::ROTATION_OVERLAP) {
            Some(days) => Duration::from_secs(u64::from(days) * 86_400),
            None => self.settings.rotation.overlap,
        }
    }

    /// Whether a pending key takes over once every anchor holds it.
    pub fn activates_on_trust(&self, state: &TrustState) -> bool {
        match state.settings.get(table::ROTATION_ACTIVATE) {
            Some(word) => word == "on-trust",
            None => self.settings.rotation.activate_on_trust,
        }
    }

    pub fn rotates_by_itself(&self, state: &TrustState) -> bool {
        set(state, table::ROTATION_AUTO).unwrap_or(self.settings.rotation.auto)
    }

    pub fn warning_months(&self, state: &TrustState, profile: &ProfileName) -> u32 {
        set(state, table::ROTATION_WARNING).unwrap_or_else(|| {
            self.settings
                .profiles
                .get(profile)
                .map_or(self.settings.rotation.warning_months, |p| p.warning_months)
        })
    }

    /// The module with what was set at run time, which is for every module.
    pub fn as_set(&self, state: &TrustState, module: &HsmModule) -> HsmModule {
        let span = |key: &str| state.settings.get(key).and_then(|text| config::duration(text));
        let mut module = module.clone();
        let session = &mut module.session;
        session.timeout = span(table::SESSION_TIMEOUT).unwrap_or(session.timeout);
        session.keepalive = set(state, table::SESSION_KEEPALIVE).unwrap_or(session.keepalive);
        session.keepalive_interval =
            span(table::SESSION_KEEPALIVE_INTERVAL).unwrap_or(session.keepalive_interval);
        module
    }

    /// The active key of the profile `default`, else of the first that has one.
    pub(super) fn signing_key(&self, state: &TrustState) -> Option<String> {
        let now = self.not_before(state);
        let first = self.settings.profiles.keys().filter(|p| p.as_str() == "default");
        first
            .chain(self.settings.profiles.keys())
            .find_map(|profile| state.active_key(profile, now))
            .map(|key| key.id.to_string())
    }

    pub(super) fn signs(&self, state: &TrustState, id: &str) -> bool {
        let now = self.not_before(state);
        id.parse::<KeyId>()
            .ok()
            .and_then(|id| state.keys.get(&id))
            .filter(|key| key.key_type == KeyType::Signing)
            .is_some_and(|key| key.state(now) == KeyState::Active)
    }
}

fn set<T: std::str::FromStr>(state: &TrustState, key: &str) -> Option<T> {
    state.settings.get(key)?.parse().ok()
}
