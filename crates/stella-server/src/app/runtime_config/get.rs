//! `config get`, `config list`.

use stella_core::api::keys::{ConfigEntry, ConfigList};
use stella_core::id::ProfileName;
use stella_core::trust::TrustState;

use super::{find, spelt, table::SETTINGS, unknown};
use crate::app::App;
use crate::app::error::Result;
use crate::config::{Origin, Profile};

impl App {
    pub async fn config_entry(&self, key: &str) -> Result<ConfigEntry> {
        let state = self.trust_head().await?;
        if let Some(setting) = find(key) {
            return Ok(self.entry(&state, setting));
        }
        let wanted = spelt(key);
        self.profile_entries(&state)
            .find(|e| spelt(&e.key) == wanted)
            .ok_or_else(|| unknown(key))
    }

    pub async fn list_config(&self, overridden: bool) -> Result<ConfigList> {
        let state = self.trust_head().await?;
        let entries = SETTINGS
            .iter()
            .map(|s| self.entry(&state, s))
            .chain(self.profile_entries(&state))
            .filter(|e| !overridden || e.origin == "runtime")
            .collect();
        Ok(ConfigList { entries })
    }

    fn profile_entries(&self, state: &TrustState) -> impl Iterator<Item = ConfigEntry> {
        self.settings.profiles.iter().flat_map(|(name, profile)| {
            let mut entries = self.entries_of(name, profile);
            entries.extend(self.mode_entry(state, name));
            entries.extend(self.failover_entry(state, name));
            entries
        })
    }

    fn entries_of(&self, name: &ProfileName, p: &Profile) -> Vec<ConfigEntry> {
        [
            ("algorithm", p.algorithm.to_string()),
            ("key_store", p.key_store.clone()),
            ("rotation.max_age_months", p.max_age_months.to_string()),
            ("rotation.warning_months", p.warning_months.to_string()),
            ("exclusive", p.exclusive.to_string()),
            ("allow_software", p.allow_software.to_string()),
        ]
        .into_iter()
        .map(|(field, value)| {
            let key = format!("profiles.{name}.{field}");
            let (origin, place) = match self.settings.origins.of(&key) {
                Origin::Default => ("default", None),
                Origin::File(place) => ("file", Some(place.to_string())),
                Origin::Environment(name) => ("environment", Some(name.to_owned())),
            };
            ConfigEntry {
                key,
                value,
                origin: origin.to_owned(),
                place,
                runtime: false,
                description: None,
                ends_at: None,
                warnings: Vec::new(),
            }
        })
        .collect()
    }
}
