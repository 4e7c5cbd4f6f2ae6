//! `crypto hsm failover`: an operator moves signing to the keys in one module,
//! without waiting for the other to fail, until they give it back.

use stella_core::api::hsm::{FailOver, FailedOver, MovedProfile};
use stella_core::api::keys::ConfigEntry;
use stella_core::id::ProfileName;
use stella_core::trust::{EventBody, KeyRecord, TrustState};

use crate::app::error::{Error, Result};
use crate::app::pool::anchors_without;
use crate::app::runtime_config::lasting::{self, Lasting, own_key};
use crate::app::runtime_config::table::SIGNING_MODULE;
use crate::app::trust::Decision;
use crate::app::{App, Caller};
use crate::config::HsmModule;

/// Each profile's own again.
const AUTO: &str = "auto";

pub(crate) const GIVE_BACK: &str = "stella crypto hsm failover --to auto";

/// A profile, and the key that would sign for it.
type Move<'a> = (ProfileName, &'a KeyRecord);

impl App {
    /// Every profile with a key in the module, or the one that is named. Each
    /// key signs a probe first, and each anchor must accept it: else nothing
    /// moves.
    pub async fn hsm_failover(&self, caller: &Caller, request: &FailOver) -> Result<FailedOver> {
        let profile = request
            .profile
            .as_deref()
            .map(|name| self.known_profile(name))
            .transpose()?;
        let lasts = lasting::asked(request.lasts.as_deref())?;
        if request.to == AUTO {
            return self.give_back(caller, profile.as_ref()).await;
        }
        let module = self.module_settings(Some(&request.to))?;
        let trust = self.trust_head().await?;
        let (keys, warnings) = self.movable(&trust, module, profile.as_ref())?;
        let mut profiles = Vec::new();
        for (name, key) in keys {
            let signed = self.probe_key(key).await?;
            profiles.push(MovedProfile {
                profile: name.to_string(),
                key_id: key.id.to_string(),
                milliseconds: Some(signed.milliseconds),
            });
        }
        let setting = match &profile {
            Some(profile) => own_key(profile, SIGNING_MODULE),
            None => SIGNING_MODULE.to_owned(),
        };
        let (set, _) = self
            .change(caller, |state, now| {
                let set = Lasting {
                    value: module.name.as_str(),
                    until: lasts.map(|lasts| now.saturating_add(lasts)),
                };
                let value = set.to_string();
                let same = state.settings.get(&setting) == Some(&value);
                let event = (!same).then(|| EventBody::ConfigSet {
                    key: setting.clone(),
                    value,
                });
                Ok(Decision::new(event.into_iter().collect(), set))
            })
            .await?;
        self.log_moved(caller, SIGNING_MODULE, profile.as_ref(), &set.to_string())
            .await;
        // What waited for the other store need not.
        self.signers.recovered.notify_one();
        Ok(FailedOver {
            to: module.name.clone(),
            ends_at: set.until.map(|t| t.to_string()),
            profiles,
            warnings,
        })
    }

    /// The key of each profile that would sign there.
    fn movable<'a>(
        &self,
        trust: &'a TrustState,
        module: &HsmModule,
        only: Option<&ProfileName>,
    ) -> Result<(Vec<Move<'a>>, Vec<String>)> {
        let mut keys = Vec::new();
        let mut warnings = Vec::new();
        for name in self.settings.profiles.keys() {
            if only.is_some_and(|only| only != name)
                || trust.active_key(name, self.not_before(trust)).is_none()
            {
                continue;
            }
            match self.key_in(trust, name, module) {
                Some(key) => {
                    self.believed(trust, name, key)?;
                    keys.push((name.clone(), key));
                }
                None => warnings.push(format!(
                    "profile {name} goes on as it is: none of its keys is in module {}",
                    module.name
                )),
            }
        }
        if keys.is_empty() {
            let whose = only.map_or_else(
                || "no profile".to_owned(),
                |name| format!("profile {name} does not"),
            );
            let verb = if only.is_some() { "have" } else { "has" };
            let profile = only.map_or("PROFILE", ProfileName::as_str);
            return Err(Error::conflict(
                "hsm.no-key-there",
                format!("{whose} {verb} a key in module {} that may sign", module.name),
            )
            .next(format!(
                "stella keys generate --profile {profile} --standby --key-store 'hsm://pkcs11/token/LABEL?module={}', then list it under backups in signer.yaml",
                module.name
            )));
        }
        Ok((keys, warnings))
    }

    fn key_in<'a>(
        &self,
        trust: &'a TrustState,
        profile: &ProfileName,
        module: &HsmModule,
    ) -> Option<&'a KeyRecord> {
        let listed = self
            .settings
            .profiles
            .get(profile)
            .map_or(&[][..], |p| &p.backups);
        trust
            .signing_keys(profile, listed, self.not_before(trust))
            .into_iter()
            .find(|key| {
                key.own()
                    .is_some_and(|own| self.is_in_module(&own.store, &module.name))
            })
    }

    /// What an anchor does not accept would be signed in vain.
    fn believed(&self, trust: &TrustState, profile: &ProfileName, key: &KeyRecord) -> Result<()> {
        let now = self.not_before(trust);
        let Some(active) = trust.active_key(profile, now) else {
            return Ok(());
        };
        let lacking = anchors_without(trust, active, key, now);
        let Some(anchor) = lacking.first() else {
            return Ok(());
        };
        Err(Error::conflict(
            "hsm.not-trusted",
            format!(
                "anchor {} ({}) accepts {} and not {}: what {} signs would fail there",
                anchor.id, anchor.pattern, active.id, key.id, key.id
            ),
        )
        .next(format!(
            "stella anchor add-key --anchor-id {} --key-id {}",
            anchor.id, key.id
        )))
    }

    async fn give_back(&self, caller: &Caller, profile: Option<&ProfileName>) -> Result<FailedOver> {
        let mut settings: Vec<String> = match profile {
            Some(profile) => vec![own_key(profile, SIGNING_MODULE)],
            None => self
                .settings
                .profiles
                .keys()
                .map(|name| own_key(name, SIGNING_MODULE))
                .collect(),
        };
        if profile.is_none() {
            settings.push(SIGNING_MODULE.to_owned());
        }
        let (moved, trust) = self
            .change(caller, |state, _| {
                let events: Vec<_> = settings
                    .iter()
                    .filter(|key| state.settings.contains_key(*key))
                    .map(|key| EventBody::ConfigUnset { key: key.clone() })
                    .collect();
                let moved = !events.is_empty();
                Ok(Decision::new(events, moved))
            })
            .await?;
        let mut warnings = Vec::new();
        if moved {
            self.log_moved(caller, SIGNING_MODULE, profile, AUTO).await;
        } else {
            warnings.push("signing had not been moved".to_owned());
        }
        let now = self.not_before(&trust);
        let profiles = self.settings.profiles.keys();
        let profiles = profiles
            .filter(|name| profile.is_none_or(|only| only == *name))
            .filter_map(|name| {
                Some(MovedProfile {
                    profile: name.to_string(),
                    key_id: trust.active_key(name, now)?.id.to_string(),
                    milliseconds: None,
                })
            })
            .collect();
        Ok(FailedOver {
            to: AUTO.to_owned(),
            ends_at: None,
            profiles,
            warnings,
        })
    }

    /// Whose keys an operator wants asked first, while that stands.
    pub(in crate::app) fn moved_to(
        &self,
        trust: &TrustState,
        profile: &ProfileName,
    ) -> Option<Lasting<String>> {
        self.lasting(trust, &own_key(profile, SIGNING_MODULE))
            .or_else(|| self.lasting(trust, SIGNING_MODULE))
            .filter(|set| set.value != AUTO)
    }

    /// A profile's own, while it has one.
    pub(in crate::app) fn module_entry(
        &self,
        trust: &TrustState,
        profile: &ProfileName,
    ) -> Option<ConfigEntry> {
        let key = own_key(profile, SIGNING_MODULE);
        let set = self.lasting(trust, &key)?;
        Some(ConfigEntry {
            key,
            value: set.value,
            origin: "runtime".to_owned(),
            place: None,
            runtime: true,
            description: None,
            ends_at: set.until.map(|t| t.to_string()),
            warnings: Vec::new(),
        })
    }

    /// What `status` says as long as signing stands where an operator moved it.
    pub(crate) fn moved_notices(&self, trust: &TrustState) -> Vec<String> {
        self.settings
            .profiles
            .keys()
            .filter(|name| trust.active_key(name, self.not_before(trust)).is_some())
            .filter_map(|name| {
                let set = self.moved_to(trust, name)?;
                let module = self.module_settings(Some(&set.value)).ok();
                module.and_then(|module| self.key_in(trust, name, module))?;
                let until = set.until.map_or_else(String::new, |t| format!(" until {t}"));
                Some(format!(
                    "profile {name} signs in module {} first{until}: somebody failed over; {GIVE_BACK}",
                    set.value
                ))
            })
            .collect()
    }
}
