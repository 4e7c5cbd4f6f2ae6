//! `keys list`, `keys show`.

use std::time::Duration;

use stella_core::api::keys::{Key, KeyList};
use stella_core::trust::KeyRecord;

use crate::app::error::{Error, Result};
use crate::app::{App, values};

#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    pub key_type: Option<String>,
    pub status: Option<String>,
    pub profile: Option<String>,
    pub expiring_within: Option<Duration>,
}

impl App {
    pub async fn list_keys(&self, filter: KeyFilter) -> Result<KeyList> {
        let (state, now) = (self.trust_head().await?, self.now());
        let key_type = filter.key_type.as_deref().map(values::key_type).transpose()?;
        let status = filter.status.as_deref().map(values::key_state).transpose()?;
        let horizon = filter.expiring_within.map(|within| now.saturating_add(within));
        let wanted = |key: &&KeyRecord| {
            key_type.is_none_or(|t| t == key.key_type)
                && status.is_none_or(|s| s == key.state(now))
                && filter
                    .profile
                    .as_ref()
                    .is_none_or(|p| key.profile().is_some_and(|of| of.as_str() == p))
                && horizon.is_none_or(|end| key.own().and_then(|o| o.not_after).is_some_and(|t| t <= end))
        };
        Ok(KeyList {
            keys: state
                .keys
                .values()
                .filter(wanted)
                .map(|k| super::view(k, &state, now))
                .collect(),
        })
    }

    pub async fn show_key(&self, id: &str) -> Result<Key> {
        let state = self.trust_head().await?;
        let id = values::key_id(id)?;
        let key = state.keys.get(&id).ok_or_else(|| {
            Error::not_found("key.unknown", format!("no key named {id}")).next("stella keys list")
        })?;
        Ok(super::view(key, &state, self.now()))
    }
}
