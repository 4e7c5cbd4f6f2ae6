//! `hsm.failover`: the module whose keys sign first, for every profile or for
//! one, because an operator says so. The profile's other keys stand by.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use serde_json::json;
use stella_core::api::hsm::{FailedOver, Failover, MovedProfile};
use stella_core::api::keys::ConfigEntry;
use stella_core::id::ProfileName;
use stella_core::time::Timestamp;
use stella_core::trust::{EventBody, KeyRecord, KeyState, TrustAnchor, TrustState};
use stella_keys::hsm::KeyReference;
use stella_keys::pool::{Role, StoreKind, may_serve};
use stella_store::LogRow;

use super::table::{HSM_FAILOVER, Setting};
use super::{SigningMode, mode};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};
use crate::config::HsmModule;

/// A profile, and the key that signs for it from now on, in which store.
type Moved = (ProfileName, KeyRecord, String);

/// As it stands in an event: `backup until 2025-02-01T08:00:00Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTo {
    /// [`AUTO`] where a profile stays out of what holds for the others.
    pub module: String,
    pub until: Option<Timestamp>,
}

impl fmt::Display for MovedTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.module)?;
        match self.until {
            Some(until) => write!(f, " until {until}"),
            None => Ok(()),
        }
    }
}

impl FromStr for MovedTo {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (module, until) = match text.split_once(" until ") {
            Some((module, until)) => (module, Some(until.parse().map_err(|_| ())?)),
            None => (text, None),
        };
        Ok(Self {
            module: module.to_owned(),
            until,
        })
    }
}

fn key_of(profile: &ProfileName) -> String {
    format!("profiles.{profile}.{HSM_FAILOVER}")
}

impl App {
    /// Where an operator moved this profile's signing, until it is given back.
    pub fn moved_to(&self, state: &TrustState, profile: &ProfileName) -> Option<MovedTo> {
        self.failover_set(state, &key_of(profile))
            .or_else(|| self.failover_set(state, HSM_FAILOVER))
            .filter(|moved| moved.module != AUTO)
    }

    /// What was set and has not ended.
    pub(super) fn failover_set(&self, state: &TrustState, key: &str) -> Option<MovedTo> {
        let moved: MovedTo = state.settings.get(key)?.parse().ok()?;
        let now = self.now();
        moved.until.is_none_or(|until| now < until).then_some(moved)
    }

    /// The module that a key-store URI is about.
    pub(in crate::app) fn module_of_key(&self, uri: &str) -> Option<String> {
        let at: KeyReference = uri.parse().ok()?;
        let named = at.module.map(|name| name.as_str().to_owned());
        named.or_else(|| Some(self.settings.hsm.modules.first()?.name.clone()))
    }

    /// Moves signing, or gives it back. Whoever is moved has a key there that
    /// signs now and that every anchor of the active key accepts.
    pub async fn hsm_failover(&self, caller: &Caller, request: &Failover) -> Result<FailedOver> {
        let profile = request.profile.as_deref();
        let profile = profile.map(|name| self.known_profile(name)).transpose()?;
        if request.to == AUTO {
            return self.give_back(caller, profile.as_ref()).await;
        }
        let module = self
            .module_settings(Some(&request.to))
            .map_err(|e| self.no_module(&request.to).unwrap_or(e))?;
        let lasts = mode::lasts(request.lasts.as_deref(), SigningMode::Hsm)?;
        let state = self.trust_head().await?;
        let (moved, mut warnings) = self.movable(&state, profile.as_ref(), module)?;
        for (_, key, uri) in &moved {
            self.probe_key(key, uri).await?;
            let store = self.key_store_of(uri);
            if let Some(store) = store.filter(|store| !self.signers.pool.is_up(store)) {
                // It has just signed: nobody has to wait for the probes.
                self.signers.pool.close_module(&module.name, Instant::now());
                warnings.push(format!(
                    "{store} had been left alone, and has just signed a probe"
                ));
            }
        }
        let key = profile.as_ref().map_or_else(|| HSM_FAILOVER.to_owned(), key_of);
        let ids: Vec<_> = moved
            .iter()
            .map(|(name, key, _)| (name.clone(), key.id.clone()))
            .collect();
        let (set, state) = self
            .change(caller, |_, now| {
                let set = MovedTo {
                    module: module.name.clone(),
                    until: lasts.map(|lasts| now.saturating_add(lasts)),
                };
                let event = EventBody::ConfigSet {
                    key: key.clone(),
                    value: set.to_string(),
                };
                Ok(Decision::new(vec![event], set))
            })
            .await?;
        self.log_failover(caller, profile.as_ref(), &set.to_string())
            .await;
        self.signers.recovered.notify_one();
        if profile.is_none() {
            // A profile's own word goes before that for all.
            for name in self.settings.profiles.keys() {
                if let Some(own) = self.failover_set(&state, &key_of(name))
                    && own.module != set.module
                {
                    warnings.push(format!(
                        "profile {name} stays with {}: stella crypto hsm failover --profile {name} --to {}",
                        own.module, set.module
                    ));
                }
            }
        }
        Ok(FailedOver {
            to: set.module,
            until: set.until.map(|t| t.to_string()),
            profiles: ids
                .into_iter()
                .map(|(name, key)| MovedProfile {
                    profile: name.to_string(),
                    key_id: key.to_string(),
                })
                .collect(),
            warnings,
        })
    }

    /// For all: what was set for single profiles as well.
    pub(super) async fn give_back(
        &self,
        caller: &Caller,
        profile: Option<&ProfileName>,
    ) -> Result<FailedOver> {
        let keys = match profile {
            Some(profile) => vec![key_of(profile)],
            None => std::iter::once(HSM_FAILOVER.to_owned())
                .chain(self.settings.profiles.keys().map(key_of))
                .collect(),
        };
        let (_, state) = self
            .change(caller, |state, _| {
                let stays_out = profile.is_some() && self.failover_set(state, HSM_FAILOVER).is_some();
                let events = keys.iter().filter_map(|key| {
                    let key = key.clone();
                    match (stays_out, state.settings.contains_key(&key)) {
                        (true, _) => Some(EventBody::ConfigSet {
                            key,
                            value: AUTO.to_owned(),
                        }),
                        (false, true) => Some(EventBody::ConfigUnset { key }),
                        (false, false) => None,
                    }
                });
                Ok(Decision::new(events.collect(), ()))
            })
            .await?;
        self.log_failover(caller, profile, AUTO).await;
        let now = self.not_before(&state);
        let given = self
            .settings
            .profiles
            .keys()
            .filter(|name| profile.is_none_or(|p| p == *name));
        Ok(FailedOver {
            to: AUTO.to_owned(),
            until: None,
            profiles: given
                .filter_map(|name| {
                    let key = state.active_key(name, now)?;
                    key.stores().find_map(|store| self.module_of_key(store))?;
                    Some(MovedProfile {
                        profile: name.to_string(),
                        key_id: key.id.to_string(),
                    })
                })
                .collect(),
            warnings: Vec::new(),
        })
    }

    /// What moves signing to a store that is no module, where one is meant.
    fn no_module(&self, to: &str) -> Option<Error> {
        let name = to.strip_prefix("hsm://local/").unwrap_or(to);
        if to == "kms" || to.starts_with("kms://") {
            let what = "a KMS is no module: its keys sign while signing.mode is kms";
            let next = "stella config set signing.mode kms --for 8h, or with --profile for one";
            return Some(Error::not_found("hsm.unknown-module", what).next(next));
        }
        let local = self.settings.hsm.local.iter().any(|local| local.name == name);
        local.then(|| {
            let what = format!(
                "{name} is a local HSM and no module: its standby key signs while the active one cannot, or once it is activated"
            );
            Error::not_found("hsm.unknown-module", what).next("stella keys list, then stella keys activate KEY")
        })
    }

    /// Who is moved, with the key; what others are told that stay.
    fn movable(
        &self,
        state: &TrustState,
        profile: Option<&ProfileName>,
        module: &HsmModule,
    ) -> Result<(Vec<Moved>, Vec<String>)> {
        if let Some(name) = profile {
            let (key, store) = self.key_to_move_to(state, name, module)?;
            return Ok((vec![(name.clone(), key.clone(), store.to_owned())], Vec::new()));
        }
        let now = self.not_before(state);
        let mut moved = Vec::new();
        let mut stay = Vec::new();
        for name in self.settings.profiles.keys() {
            let active = state.active_key(name, now);
            let mut stores = active.into_iter().flat_map(KeyRecord::stores);
            if !stores.any(|store| self.module_of_key(store).is_some()) {
                continue;
            }
            match self.key_to_move_to(state, name, module) {
                Ok((key, store)) => moved.push((name.clone(), key.clone(), store.to_owned())),
                // Half of what was asked for would be signed and not believed.
                Err(e) if e.code == NOT_TRUSTED => return Err(e),
                Err(e) => stay.push(e),
            }
        }
        if moved.is_empty() {
            return Err(stay.into_iter().next().unwrap_or_else(|| {
                Error::conflict(NO_KEY, "no profile signs in an HSM, so there is nothing to move")
                    .next("stella keys list")
            }));
        }
        let warnings = stay
            .into_iter()
            .map(|e| format!("goes on as before: {}", e.message));
        Ok((moved, warnings.collect()))
    }

    fn key_to_move_to<'a>(
        &self,
        state: &'a TrustState,
        name: &ProfileName,
        module: &HsmModule,
    ) -> Result<(&'a KeyRecord, &'a str)> {
        let now = self.not_before(state);
        let Some(active) = state.active_key(name, now) else {
            return Err(
                Error::conflict(NO_KEY, format!("profile {name} has no active key"))
                    .next(format!("stella keys generate --profile {name}")),
            );
        };
        let is_in = |store: &str| self.module_of_key(store).as_deref() == Some(module.name.as_str());
        let settings = self.settings.profiles.get(name);
        let listed = settings.map_or(&[][..], |p| &p.backups);
        let mode = self.mode_for(state, name);
        let keys = state.signing_keys(name, listed, now);
        let mut there = keys
            .into_iter()
            .filter_map(|key| Some((key, key.stores().find(|store| is_in(store))?)));
        let Some((key, store)) = there.next() else {
            let is_there = |key: &KeyRecord| key.stores().any(is_in);
            return Err(self.none_there(state, name, module, is_there));
        };
        let role = if key.id == active.id {
            Role::Active
        } else {
            Role::Standby
        };
        if !may_serve(mode, StoreKind::Hsm, role, false) {
            return Err(Error::conflict(
                NO_KEY,
                format!(
                    "profile {name} may not sign with {} in module {}: signing.mode is {}",
                    key.id,
                    module.name,
                    self.signing_mode_of(state, name).as_str()
                ),
            )
            .next("stella config unset signing.mode"));
        }
        let accepts =
            |anchor: &TrustAnchor, key: &KeyRecord| anchor.key(&key.id).is_some_and(|k| k.is_current(now));
        let lacks = |anchor: &&TrustAnchor| accepts(anchor, active) && !accepts(anchor, key);
        match state.anchors.values().find(lacks) {
            None => Ok((key, store)),
            Some(anchor) => Err(Error::conflict(
                NOT_TRUSTED,
                format!(
                    "anchor {} ({}) accepts {} and not {} in module {}: what that signed would fail there",
                    anchor.id, anchor.pattern, active.id, key.id, module.name
                ),
            )
            .next(format!(
                "stella anchor add-key --anchor-id {} --key-id {}",
                anchor.id, key.id
            ))),
        }
    }

    fn none_there(
        &self,
        state: &TrustState,
        name: &ProfileName,
        module: &HsmModule,
        is_there: impl Fn(&KeyRecord) -> bool,
    ) -> Error {
        let now = self.not_before(state);
        let unlisted = state
            .keys
            .values()
            .find(|key| key.profile() == Some(name) && key.state(now) == KeyState::Standby && is_there(key));
        match unlisted {
            Some(key) => Error::conflict(
                NO_KEY,
                format!(
                    "{} stands by in module {}, but profile {name} does not list it or it is too old",
                    key.id, module.name
                ),
            )
            .next(format!(
                "add backups: [{{key: {}}}] to signer.profiles.{name} in signer.yaml and restart the server",
                key.id
            )),
            None => Error::conflict(
                NO_KEY,
                format!(
                    "module {} holds no key that profile {name} may sign with",
                    module.name
                ),
            )
            .next(format!(
                "stella keys generate --profile {name} --standby --key-store 'hsm://pkcs11/token/LABEL?module={}', then list it under backups",
                module.name
            )),
        }
    }

    /// A profile's own, while it has one.
    pub(super) fn failover_entry(&self, state: &TrustState, profile: &ProfileName) -> Option<ConfigEntry> {
        let key = key_of(profile);
        let set = self.failover_set(state, &key)?;
        Some(ConfigEntry {
            key,
            value: set.module,
            origin: "runtime".to_owned(),
            place: None,
            runtime: true,
            description: None,
            ends_at: set.until.map(|t| t.to_string()),
            warnings: Vec::new(),
        })
    }

    /// What came of it, as a setting.
    pub(super) async fn moved_entry(
        &self,
        setting: &Setting,
        profile: Option<&str>,
        done: FailedOver,
    ) -> Result<ConfigEntry> {
        let state = self.trust_head().await?;
        let own = match profile {
            Some(profile) => self.failover_entry(&state, &self.known_profile(profile)?),
            None => None,
        };
        Ok(ConfigEntry {
            warnings: done.warnings,
            ..own.unwrap_or_else(|| self.entry(&state, setting))
        })
    }

    async fn log_failover(&self, caller: &Caller, profile: Option<&ProfileName>, to: &str) {
        let whose = profile.map_or_else(
            || "every profile".to_owned(),
            |profile| format!("profile {profile}"),
        );
        self.note(LogRow {
            at: self.now(),
            level: "warn".to_owned(),
            component: "hsm".to_owned(),
            message: format!("signing of {whose} is moved: hsm.failover {to}"),
            fields: json!({ "by": caller.identity, "profile": profile.map(|p| p.as_str()), "to": to }),
        })
        .await;
    }
}

/// Each profile's own order. No module can have the name.
pub const AUTO: &str = "auto";
const NO_KEY: &str = "hsm.failover-no-key";
const NOT_TRUSTED: &str = "hsm.failover-not-trusted";
