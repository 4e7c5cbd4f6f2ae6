//! `signing.mode`: for every profile or for one, for good or for a while.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use stella_core::api::keys::{ConfigEntry, SetConfig};
use stella_core::id::ProfileName;
use stella_core::time::Timestamp;
use stella_core::trust::{EventBody, TrustState};
use stella_keys::pool::{Mode, Role, StoreKind, may_serve};
use stella_store::LogRow;

use super::SigningMode;
use super::set::SOFTWARE_WARNING;
use super::table::{self, Setting};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};
use crate::config::{self, Profile};

/// Nobody should find out next year that it was never switched back.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// As it stands in an event: `software until 2025-02-01T08:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModeSetting {
    pub mode: SigningMode,
    /// From then on it is as if it had not been set.
    pub until: Option<Timestamp>,
}

impl fmt::Display for ModeSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mode.as_str())?;
        match self.until {
            Some(until) => write!(f, " until {until}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ModeSetting {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (mode, until) = match text.split_once(" until ") {
            Some((mode, until)) => (mode, Some(until.parse().map_err(|_| ())?)),
            None => (text, None),
        };
        Ok(Self {
            mode: SigningMode::parse(mode),
            until,
        })
    }
}

/// Where a profile's own is kept.
pub(super) fn key_of(profile: &ProfileName) -> String {
    format!("profiles.{profile}.{}", table::SIGNING_MODE)
}

impl App {
    /// What was set and has not ended.
    pub(super) fn mode_set(&self, state: &TrustState, key: &str) -> Option<ModeSetting> {
        let setting: ModeSetting = state.settings.get(key)?.parse().ok()?;
        let now = self.now();
        setting.until.is_none_or(|until| now < until).then_some(setting)
    }

    /// For every profile that has none of its own.
    pub fn signing_mode(&self, state: &TrustState) -> SigningMode {
        self.mode_set(state, table::SIGNING_MODE)
            .map_or(SigningMode::Auto, |set| set.mode)
    }

    pub fn signing_mode_of(&self, state: &TrustState, profile: &ProfileName) -> SigningMode {
        self.mode_set(state, &key_of(profile))
            .map_or_else(|| self.signing_mode(state), |set| set.mode)
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
                key.stores()
                    .filter_map(StoreKind::of)
                    .any(|kind| may_serve(software, kind, role, true))
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
        let lasts = lasts(request.lasts.as_deref(), mode)?;
        let state = self.trust_head().await?;
        match &profile {
            Some(profile) => self.check_mode_of(&state, profile, mode)?,
            None => self.check_mode(mode)?,
        }
        let key = profile.as_ref().map_or_else(|| setting.key.to_owned(), key_of);
        let (set, state) = self
            .change(caller, |state, now| {
                let until = lasts.map(|lasts| now.saturating_add(lasts));
                let set = ModeSetting { mode, until };
                let value = set.to_string();
                let same = state.settings.get(&key) == Some(&value);
                let events = (!same).then(|| EventBody::ConfigSet {
                    key: key.clone(),
                    value,
                });
                Ok(Decision::new(events.into_iter().collect(), set))
            })
            .await?;
        self.log_mode(caller, profile.as_ref(), &set.to_string()).await;
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

    pub(super) async fn unset_mode_of(
        &self,
        caller: &Caller,
        setting: &Setting,
        profile: &str,
    ) -> Result<ConfigEntry> {
        let profile = self.known_profile(profile)?;
        let key = key_of(&profile);
        let (was_set, state) = self
            .change(caller, |state, _| {
                let set = state.settings.contains_key(&key);
                let event = set.then(|| EventBody::ConfigUnset { key: key.clone() });
                Ok(Decision::new(event.into_iter().collect(), set))
            })
            .await?;
        if was_set {
            self.log_mode(caller, Some(&profile), "unset").await;
        }
        Ok(self.entry(&state, setting))
    }

    /// A profile's own mode, while it has one.
    pub(super) fn mode_entry(&self, state: &TrustState, profile: &ProfileName) -> Option<ConfigEntry> {
        let key = key_of(profile);
        let set = self.mode_set(state, &key)?;
        Some(ConfigEntry {
            key,
            value: set.mode.as_str().to_owned(),
            origin: "runtime".to_owned(),
            place: None,
            runtime: true,
            description: None,
            ends_at: set.until.map(|t| t.to_string()),
            warnings: mode_warnings(set.mode),
        })
    }

    /// What `status` says while signing is not each profile's own.
    pub(in crate::app) fn software_notices(&self, state: &TrustState) -> Vec<String> {
        let notice = |whose: String, set: ModeSetting| {
            let until = set.until.map_or_else(String::new, |t| format!(" until {t}"));
            format!("software signing is on{whose}{until}; it may not meet compliance requirements")
        };
        let all = self
            .mode_set(state, table::SIGNING_MODE)
            .map(|set| (String::new(), set));
        let each = self.settings.profiles.keys().filter_map(|name| {
            let set = self.mode_set(state, &key_of(name))?;
            Some((format!(" for profile {name}"), set))
        });
        all.into_iter()
            .chain(each)
            .filter(|(_, set)| set.mode == SigningMode::Software)
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
            .flat_map(|key| key.stores())
            .any(|store| StoreKind::of(store) == Some(wanted));
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

    async fn log_mode(&self, caller: &Caller, profile: Option<&ProfileName>, set: &str) {
        let whose = profile.map_or_else(
            || "every profile".to_owned(),
            |profile| format!("profile {profile}"),
        );
        self.note(LogRow {
            at: self.now(),
            level: "warn".to_owned(),
            component: "config".to_owned(),
            message: format!("signing.mode of {whose}: {set}"),
            fields: json!({ "by": caller.identity, "profile": profile.map(|p| p.as_str()), "mode": set }),
        })
        .await;
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
pub(super) fn lasts(lasts: Option<&str>, mode: SigningMode) -> Result<Option<Duration>> {
    let Some(text) = lasts else {
        return Ok((mode == SigningMode::Software).then_some(LONGEST));
    };
    let wrong = |why: &str| {
        Error::invalid("config.lasts", format!("{text:?} {why}")).next("--for 8h, or at most --for 24h")
    };
    match config::duration(text) {
        None => Err(wrong("is no duration")),
        Some(span) if span.is_zero() => Err(wrong("is no time at all")),
        Some(span) if span > LONGEST => Err(wrong("is longer than a mode lasts before it is thought over")),
        Some(span) => Ok(Some(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back() {
        let until = "2025-02-01T08:00:00Z".parse().expect("a time");
        for until in [None, Some(until)] {
            let set = ModeSetting {
                mode: SigningMode::Software,
                until,
            };
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        // As it was stored before there was an end.
        let old: ModeSetting = "hsm".parse().expect("a mode");
        assert_eq!((old.mode, old.until), (SigningMode::Hsm, None));
    }
}
