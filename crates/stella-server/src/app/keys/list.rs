//! `keys list`, `keys show`.

use std::time::Duration;

use stella_core::api::keys::{Key, KeyList};
use stella_core::trust::{KeyRecord, KeyState};

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
        if let Some(status) = &filter.status
            && !KeyState::ALL.iter().any(|s| s.as_str() == status)
        {
            let all = KeyState::ALL.map(KeyState::as_str).join(", ");
            return Err(Error::invalid(
                "key.status",
                format!("{status:?} is not a key status: use one of {all}"),
            ));
        }
        let horizon = filter.expiring_within.map(|within| now.saturating_add(within));
        let wanted = |key: &&KeyRecord| {
            filter
                .key_type
                .as_ref()
                .is_none_or(|t| *t == key.key_type.to_string())
                && filter
                    .status
                    .as_ref()
                    .is_none_or(|s| s == key.state(now).as_str())
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
