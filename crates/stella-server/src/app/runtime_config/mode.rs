//! `signing.mode`: for every profile or for one, for good or for a while.

use std::time::Duration;

use stella_core::api::keys::{ConfigEntry, SetConfig};
use stella_core::id::ProfileName;
use stella_core::trust::{EventBody, TrustState};
use stella_keys::pool::{Mode, Role, StoreKind, may_serve};

use super::SigningMode;
use super::lasting::{self, LONGEST, Lasting, own_key};
use super::set::SOFTWARE_WARNING;
use super::table::{self, Setting};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};
use crate::config::Profile;

impl App {
    /// What was set and has not ended.
    pub(super) fn mode_set(&self, state: &TrustState, key: &str) -> Option<Lasting<SigningMode>> {
        let set = self.lasting(state, key)?;
        Some(Lasting {
            value: SigningMode::parse(&set.value),
            until: set.until,
        })
    }

    /// For every profile that has none of its own.
    pub fn signing_mode(&self, state: &TrustState) -> SigningMode {
        self.mode_set(state, table::SIGNING_MODE)
            .map_or(SigningMode::Auto, |set| set.value)
    }

    pub fn signing_mode_of(&self, state: &TrustState, profile: &ProfileName) -> SigningMode {
        self.mode_set(state, &own_key(profile, table::SIGNING_MODE))
            .map_or_else(|| self.signing_mode(state), |set| set.value)
    }

    /// What the mode means for this profile. Software never does for one that
    /// forbids it or has no such key: its own store goes on.
    pub fn mode_for(&self, state: &TrustState, profile: &ProfileName) -> Mode {
        match self.signing_mode_of(state, profile) {
            SigningMode::Software if self.no_software(state, profile).is_some() => Mode::Auto,
            mode => stores(mode),
        }
    }

    /// Why this profile does not sign in software.
    fn no_software(&self, state: &TrustState, name: &ProfileName) -> Option<&'static str> {
        let profile = self.settings.profiles.get(name)?;
        if is_software(profile) {
            return None;
        }
        if !profile.allow_software {
            return Some("it forbids software signing (allowSoftware: false)");
        }
        let now = self.not_before(state);
        let has_one = state
            .signing_keys(name, &profile.backups, now)
            .iter()
            .enumerate()
            .any(|(index, key)| {
                let role = if index == 0 { Role::Active } else { Role::Standby };
                let software = Mode::Only(StoreKind::Software);
                key.own()
                    .and_then(|own| StoreKind::of(&own.store))
                    .is_some_and(|kind| may_serve(software, kind, role, true))
            });
        (!has_one).then_some("none of its backups is a software key")
    }

    pub(super) async fn set_mode(
        &self,
        caller: &Caller,
        setting: &Setting,
        request: &SetConfig,
        mode: SigningMode,
    ) -> Result<ConfigEntry> {
        let profile = request
            .profile
            .as_deref()
            .map(|name| self.known_profile(name))
            .transpose()?;
        let lasts = lasts(request, mode)?;
        let state = self.trust_head().await?;
        match &profile {
            Some(profile) => self.check_mode_of(&state, profile, mode)?,
            None => self.check_mode(mode)?,
        }
        let key = match &profile {
            Some(profile) => own_key(profile, setting.key),
            None => setting.key.to_owned(),
        };
        let (set, state) = self
            .change(caller, |state, now| {
                let until = lasts.map(|lasts| now.saturating_add(lasts));
                let set = Lasting {
                    value: mode.as_str(),
                    until,
                };
                let value = set.to_string();
                let same = state.settings.get(&key) == Some(&value);
                let events = (!same).then(|| EventBody::ConfigSet {
                    key: key.clone(),
                    value,
                });
                Ok(Decision::new(events.into_iter().collect(), set))
            })
            .await?;
        self.log_moved(caller, setting.key, profile.as_ref(), &set.to_string())
            .await;
        let mut entry = match &profile {
            Some(profile) => self.mode_entry(&state, profile),
            None => None,
        }
        .unwrap_or_else(|| self.entry(&state, setting));
        if mode == SigningMode::Software && profile.is_none() {
            for name in self.settings.profiles.keys() {
                if let Some(why) = self.no_software(&state, name) {
                    entry
                        .warnings
                        .push(format!("profile {name} goes on with its own key store: {why}"));
                }
            }
        }
        Ok(entry)
    }

    /// A profile's own mode, while it has one.
    pub(super) fn mode_entry(&self, state: &TrustState, profile: &ProfileName) -> Option<ConfigEntry> {
        let key = own_key(profile, table::SIGNING_MODE);
        let set = self.mode_set(state, &key)?;
        Some(ConfigEntry {
            key,
            value: set.value.as_str().to_owned(),
            origin: "runtime".to_owned(),
            place: None,
            runtime: true,
            description: None,
            ends_at: set.until.map(|t| t.to_string()),
            warnings: mode_warnings(set.value),
        })
    }

    /// What `status` says while signing is not each profile's own.
    pub(in crate::app) fn software_notices(&self, state: &TrustState) -> Vec<String> {
        let notice = |whose: String, set: Lasting<SigningMode>| {
            let until = set.until.map_or_else(String::new, |t| format!(" until {t}"));
            format!("software signing is on{whose}{until}; it may not meet compliance requirements")
        };
        let all = self
            .mode_set(state, table::SIGNING_MODE)
            .map(|set| (String::new(), set));
        let each = self.settings.profiles.keys().filter_map(|name| {
            let set = self.mode_set(state, &own_key(name, table::SIGNING_MODE))?;
            Some((format!(" for profile {name}"), set))
        });
        all.into_iter()
            .chain(each)
            .filter(|(_, set)| set.value == SigningMode::Software)
            .map(|(whose, set)| notice(whose, set))
            .collect()
    }

    fn check_mode_of(&self, state: &TrustState, name: &ProfileName, mode: SigningMode) -> Result<()> {
        if mode == SigningMode::Software {
            let Some(why) = self.no_software(state, name) else {
                return Ok(());
            };
            let error = format!("profile {name} is not signed for in software: {why}");
            let allowed = self.settings.profiles.get(name).is_some_and(|p| p.allow_software);
            return Err(if allowed {
                Error::conflict("config.no-such-store", error).next(format!(
                    "stella keys generate --profile {name} --standby --key-store software://, then list it under backups"
                ))
            } else {
                Error::conflict("config.software-forbidden", error)
                    .next("stella doctor --check check.crypto.hsm-availability")
            });
        }
        let Mode::Only(wanted) = stores(mode) else {
            return Ok(());
        };
        let listed = self.settings.profiles.get(name).map_or(&[][..], |p| &p.backups);
        let now = self.not_before(state);
        let has = state
            .signing_keys(name, listed, now)
            .iter()
            .filter_map(|key| key.own())
            .any(|own| StoreKind::of(&own.store) == Some(wanted));
        if has {
            return Ok(());
        }
        Err(Error::conflict(
            "config.no-such-store",
            format!(
                "signing.mode {0} would end all signing for profile {name}: it has no key in {0}://",
                mode.as_str()
            ),
        )
        .next("stella keys list"))
    }
}

pub(super) fn mode_warnings(mode: SigningMode) -> Vec<String> {
    (mode == SigningMode::Software)
        .then(|| SOFTWARE_WARNING.to_owned())
        .into_iter()
        .collect()
}

fn stores(mode: SigningMode) -> Mode {
    match mode {
        SigningMode::Auto => Mode::Auto,
        SigningMode::Hsm => Mode::Only(StoreKind::Hsm),
        SigningMode::Kms => Mode::Only(StoreKind::Kms),
        SigningMode::Software => Mode::Only(StoreKind::Software),
    }
}

fn is_software(profile: &Profile) -> bool {
    StoreKind::of(&profile.key_store) == Some(StoreKind::Software)
}

/// Software ends by itself, whether or not anybody said when.
fn lasts(request: &SetConfig, mode: SigningMode) -> Result<Option<Duration>> {
    let given = lasting::asked(request.lasts.as_deref())?;
    Ok(given.or((mode == SigningMode::Software).then_some(LONGEST)))
}
