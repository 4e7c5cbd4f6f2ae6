//! Settings that may change at run time, and the view of all of them.

mod table;

use stella_core::api::keys::{ConfigEntry, ConfigList};
use stella_core::trust::{EventBody, TrustState};

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};

pub use table::{RUNTIME, RuntimeSetting, file_values};

/// The runbooks' words.
pub const SOFTWARE_WARNING: &str = "Software signing may not meet compliance requirements";

impl App {
    pub async fn config_list(&self, only_overridden: bool) -> Result<ConfigList> {
        let state = self.trust_head().await?;
        let mut entries: Vec<_> = RUNTIME.iter().map(|s| self.runtime_entry(s, &state)).collect();
        entries.extend(self.file_entries());
        entries.retain(|e| !only_overridden || e.origin == "runtime");
        Ok(ConfigList { entries })
    }

    pub async fn config_get(&self, key: &str) -> Result<ConfigEntry> {
        let state = self.trust_head().await?;
        match table::find(key) {
            Some(setting) => Ok(self.runtime_entry(setting, &state)),
            None => self.file_entry(key).ok_or_else(|| self.unknown(key)),
        }
    }

    pub async fn config_set(&self, caller: &Caller, key: &str, value: &str) -> Result<ConfigEntry> {
        let setting = self.settable(key)?;
        if setting.key == "signing.key_id" {
            self.activate_key(caller, value).await?;
            return self.config_get(key).await;
        }
        let value = (setting.parse)(value)
            .map_err(|why| Error::invalid("config.value", format!("{}: {why}", setting.key)))?;
        let set = EventBody::ConfigSet {
            key: setting.key.to_owned(),
            value: value.clone(),
        };
        self.change(caller, |state, _| {
            let same = state.settings.get(setting.key) == Some(&value);
            Ok(Decision::new(
                if same { Vec::new() } else { vec![set.clone()] },
                (),
            ))
        })
        .await?;
        self.config_get(key).await
    }

    pub async fn config_unset(&self, caller: &Caller, key: &str) -> Result<ConfigEntry> {
        let setting = self.settable(key)?;
        let unset = EventBody::ConfigUnset {
            key: setting.key.to_owned(),
        };
        self.change(caller, |state, _| {
            let there = state.settings.contains_key(setting.key);
            Ok(Decision::new(
                if there { vec![unset.clone()] } else { Vec::new() },
                (),
            ))
        })
        .await?;
        self.config_get(key).await
    }

    /// `attest reload`: opened keys are dropped and opened again when next
    /// needed, and the runtime settings are read at the head of the log.
    pub async fn reload(&self, caller: &Caller) -> Result<serde_json::Value> {
        self.signers.forget().await;
        let state = self.trust_head().await?;
        tracing::info!(actor = %caller.identity, "reloaded");
        let mode = state.settings.get("signing.mode").map_or("auto", String::as_str);
        let mut warnings =
            vec!["signer.yaml is read at start: restart the server to apply a changed file".to_owned()];
        if mode == "software" {
            warnings.push(SOFTWARE_WARNING.to_owned());
        }
        Ok(
            serde_json::json!({ "reloaded": ["runtime settings", "signing keys"], "signingMode": mode, "warnings": warnings }),
        )
    }

    fn settable(&self, key: &str) -> Result<&'static RuntimeSetting> {
        if let Some(setting) = table::find(key) {
            return Ok(setting);
        }
        Err(match self.file_entry(key) {
            Some(entry) => Error::invalid(
                "config.file-only",
                format!(
                    "{} is set in the configuration file only: an API token must not decide it",
                    entry.key
                ),
            )
            .next("edit signer.yaml and restart the server"),
            None => self.unknown(key),
        })
    }

    fn unknown(&self, key: &str) -> Error {
        let known = RUNTIME
            .iter()
            .map(|s| s.key.to_owned())
            .chain(self.file_entries().into_iter().map(|e| e.key));
        let nearest = known
            .min_by_key(|name| table::distance(name, &table::canonical(key)))
            .unwrap_or_default();
        Error::not_found(
            "config.unknown",
            format!("there is no setting {key}; the nearest is {nearest}"),
        )
        .next("stella config list")
    }

    fn runtime_entry(&self, setting: &RuntimeSetting, state: &TrustState) -> ConfigEntry {
        let entry = |value: String, origin: &str| ConfigEntry {
            key: setting.key.to_owned(),
            value,
            origin: origin.to_owned(),
            runtime: true,
        };
        if setting.key == "signing.key_id" {
            let name = "default".parse().ok();
            let active = name.and_then(|name| state.active_key(&name, self.now()));
            return entry(active.map(|k| k.id.to_string()).unwrap_or_default(), "runtime");
        }
        match state.settings.get(setting.key) {
            Some(value) => entry(value.clone(), "runtime"),
            None => entry(
                (setting.from_file)(&self.settings),
                &self.settings.origins.of(setting.key).to_string(),
            ),
        }
    }

    fn file_entry(&self, key: &str) -> Option<ConfigEntry> {
        let key = table::canonical(key);
        self.file_entries().into_iter().find(|e| e.key == key)
    }

    /// The file's settings with their effective values.
    fn file_entries(&self) -> Vec<ConfigEntry> {
        table::file_values(&self.settings)
            .into_iter()
            .map(|(key, value)| ConfigEntry {
                origin: self.settings.origins.of(&key).to_string(),
                key,
                value,
                runtime: false,
            })
            .collect()
    }
}
