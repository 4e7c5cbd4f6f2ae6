//! `config set`, `config unset`: every change is an event.

use stella_core::api::hsm::Failover;
use stella_core::api::keys::{ConfigEntry, SetConfig};
use stella_core::id::KeyId;
use stella_core::time::Timestamp;
use stella_core::trust::decide::Refusal;
use stella_core::trust::decide::key::activate;
use stella_core::trust::key::Phase;
use stella_core::trust::{EventBody, KeyState, TrustState};

use super::table::{self, Setting};
use super::{SigningMode, checked, file_only, find, spelt, unknown};
use crate::app::error::{Error, Result};
use crate::app::keys::activate::activation_warnings;
use crate::app::trust::Decision;
use crate::app::{App, Caller, signers, values};

/// Stored for the day it is; nobody should count on it before.
pub const NO_AUTO_ROTATION: &str =
    "this build keeps the setting but does not rotate by itself yet: watch stella keys rotation-warnings";

pub const FROM_RECONNECT_ON: &str =
    "a module that is running takes it over with the next stella crypto hsm reconnect";

/// In the words of the runbook.
pub const SOFTWARE_WARNING: &str = "Software signing may not meet compliance requirements";

impl App {
    pub async fn set_config(&self, caller: &Caller, key: &str, request: &SetConfig) -> Result<ConfigEntry> {
        let setting = settable(key)?;
        let value = checked(setting, &request.value)?;
        if setting.key == table::SIGNING_MODE {
            let mode = SigningMode::parse(&value);
            return self.set_mode(caller, setting, request, mode).await;
        }
        if setting.key == table::HSM_FAILOVER {
            let done = self
                .hsm_failover(
                    caller,
                    &Failover {
                        to: value,
                        profile: request.profile.clone(),
                        lasts: request.lasts.clone(),
                    },
                )
                .await?;
            return self.moved_entry(setting, request.profile.as_deref(), done).await;
        }
        if request.profile.is_some() || request.lasts.is_some() {
            return Err(only_for_mode(setting));
        }
        if setting.key == table::SIGNING_KEY {
            return self.set_signing_key(caller, setting, &value).await;
        }
        let ((), state) = self
            .change(caller, |state, _| {
                let same = state.settings.get(setting.key) == Some(&value);
                let events = if same {
                    Vec::new()
                } else {
                    vec![set(setting, &value)]
                };
                Ok(Decision::new(events, ()))
            })
            .await?;
        Ok(self.entry(&state, setting))
    }

    pub async fn unset_config(
        &self,
        caller: &Caller,
        key: &str,
        profile: Option<&str>,
    ) -> Result<ConfigEntry> {
        let setting = settable(key)?;
        if let Some(profile) = profile {
            return match setting.key {
                table::SIGNING_MODE => self.unset_mode_of(caller, setting, profile).await,
                table::HSM_FAILOVER => {
                    let known = self.known_profile(profile)?;
                    let done = self.give_back(caller, Some(&known)).await?;
                    self.moved_entry(setting, Some(profile), done).await
                }
                _ => Err(only_for_mode(setting)),
            };
        }
        if setting.key == table::HSM_FAILOVER {
            let done = self.give_back(caller, None).await?;
            return self.moved_entry(setting, None, done).await;
        }
        let (warnings, state) = self
            .change(caller, |state, now| self.decide_unset(state, setting, now))
            .await?;
        Ok(ConfigEntry {
            warnings,
            ..self.entry(&state, setting)
        })
    }

    /// The same as `keys activate`, and remembered as a setting.
    async fn set_signing_key(&self, caller: &Caller, setting: &Setting, value: &str) -> Result<ConfigEntry> {
        let id = values::key_id(value)?;
        let (activation, state) = self
            .change(caller, |state, now| {
                let activation = activate(state, &id, self.overlap(state), now)?;
                let mut events = activation.events.clone();
                if state.settings.get(setting.key).map(String::as_str) != Some(id.as_str()) {
                    events.push(set(setting, id.as_str()));
                }
                Ok(Decision::new(events, activation))
            })
            .await?;
        Ok(ConfigEntry {
            warnings: activation_warnings(&state, &id, &activation),
            ..self.entry(&state, setting)
        })
    }

    fn decide_unset(
        &self,
        state: &TrustState,
        setting: &Setting,
        now: Timestamp,
    ) -> std::result::Result<Decision<Vec<String>>, Refusal> {
        let Some(value) = state.settings.get(setting.key) else {
            return Ok(Decision::new(Vec::new(), Vec::new()));
        };
        let mut events = vec![EventBody::ConfigUnset {
            key: setting.key.to_owned(),
        }];
        let mut warnings = Vec::new();
        if setting.key == table::SIGNING_KEY && self.signs(state, value) {
            match predecessor(state, value, now) {
                Some(back) => {
                    let activation = activate(state, &back, self.overlap(state), now)?;
                    events.extend(activation.events.clone());
                    warnings.push(format!("{back} signs again in place of {value}"));
                    warnings.extend(activation_warnings(state, &back, &activation));
                }
                None => warnings.push(format!(
                    "{value} goes on signing: no earlier key of its profile is still retiring"
                )),
            }
        }
        Ok(Decision::new(events, warnings))
    }

    /// A mode that no profile's store can serve would end all signing.
    pub(super) fn check_mode(&self, mode: SigningMode) -> Result<()> {
        let has = |scheme: &str| {
            self.settings
                .profiles
                .values()
                .any(|p| signers::scheme(&p.key_store) == scheme)
        };
        let none = |what: &str| {
            Err(Error::conflict(
                "config.no-such-store",
                format!("signing.mode {} would end all signing: {what}", mode.as_str()),
            )
            .next("stella config list shows each profile's key store"))
        };
        match mode {
            SigningMode::Hsm | SigningMode::Kms if !has(mode.as_str()) => {
                none(&format!("no profile has a key store {}://", mode.as_str()))
            }
            SigningMode::Software if !self.settings.profiles.values().any(|p| p.allow_software) => {
                none("no profile allows it (allowSoftware)")
            }
            _ => Ok(()),
        }
    }
}

fn only_for_mode(setting: &Setting) -> Error {
    Error::invalid(
        "config.only-for-mode",
        format!(
            "{} is the same for every profile and lasts until it is changed; only signing.mode and hsm.failover can differ",
            setting.key
        ),
    )
    .next(format!("stella config set {} VALUE", setting.key))
}

fn settable(key: &str) -> Result<&'static Setting> {
    match find(key) {
        Some(setting) if setting.runtime => Ok(setting),
        Some(setting) => Err(file_only(setting.key)),
        None => {
            let spelt = spelt(key);
            let section = spelt.split('.').next().unwrap_or_default();
            if table::NAMED_SECTIONS.contains(&section) && spelt.contains('.') {
                Err(file_only(&spelt))
            } else {
                Err(unknown(key))
            }
        }
    }
}

fn set(setting: &Setting, value: &str) -> EventBody {
    EventBody::ConfigSet {
        key: setting.key.to_owned(),
        value: value.to_owned(),
    }
}

/// The key of the same profile that was replaced last and may be taken back.
fn predecessor(state: &TrustState, id: &str, now: Timestamp) -> Option<KeyId> {
    let profile = state.keys.get(&id.parse::<KeyId>().ok()?)?.profile()?;
    state
        .keys
        .values()
        .filter(|k| k.profile() == Some(profile) && k.state(now) == KeyState::Retiring)
        .filter(|k| !k.has_expired(now))
        .filter_map(|k| match k.own()?.phase {
            Phase::Retiring { until } => Some((until, &k.id)),
            _ => None,
        })
        .max()
        .map(|(_, id)| id.clone())
}
