//! `crypto hsm slots list`, `crypto hsm pkcs11-info`.

use std::sync::Arc;

use stella_core::api::hsm::{HsmInfo, HsmInfoList, HsmMechanism, HsmProfile, HsmSlot, HsmSlotList};
use stella_keys::hsm::{LoginState, Mechanism, PinState, Slot};

use super::ask;
use crate::app::App;
use crate::app::error::Result;

impl App {
    pub async fn hsm_slots(&self, module: Option<&str>) -> Result<HsmSlotList> {
        let mut slots = Vec::new();
        for settings in self.chosen_modules(module)? {
            let found = ask(self.module(settings)?, |module| module.slots()).await??;
            slots.extend(found.into_iter().map(|slot| shown(&settings.name, slot)));
        }
        Ok(HsmSlotList { slots })
    }

    pub async fn hsm_info(&self, module: Option<&str>) -> Result<HsmInfoList> {
        let mut modules = Vec::new();
        for settings in self.chosen_modules(module)? {
            let module = self.module(settings)?;
            let info = ask(Arc::clone(&module), |module| module.info()).await??;
            let profiles = self.profiles_in(settings);
            modules.push(HsmInfo {
                module: settings.name.clone(),
                library: info.library.display().to_string(),
                manufacturer: info.manufacturer,
                description: info.description,
                library_version: info.library_version,
                cryptoki_version: info.cryptoki_version,
                profiles: profiles
                    .into_iter()
                    .map(|profile| HsmProfile {
                        profile: profile.name.to_string(),
                        algorithm: profile.algorithm.to_string(),
                        supported: info.mechanisms.iter().any(|m| m.algorithm == profile.algorithm),
                    })
                    .collect(),
                mechanisms: info.mechanisms.into_iter().map(mechanism).collect(),
            });
        }
        Ok(HsmInfoList { modules })
    }
}

fn shown(module: &str, slot: Slot) -> HsmSlot {
    HsmSlot {
        module: module.to_owned(),
        slot: slot.id,
        token_present: slot.token_present,
        initialized: slot.initialized,
        label: slot.label,
        serial: slot.serial,
        manufacturer: slot.manufacturer,
        model: slot.model,
        login: match slot.login {
            LoginState::LoggedIn => "logged-in",
            LoginState::LoggedOut => "logged-out",
            LoginState::NotRequired => "not-required",
        }
        .to_owned(),
        pin: pin(slot.pin).to_owned(),
        mechanisms: slot.mechanisms.into_iter().map(mechanism).collect(),
    }
}

fn mechanism(mechanism: Mechanism) -> HsmMechanism {
    HsmMechanism {
        algorithm: mechanism.algorithm.to_string(),
        mechanism: mechanism.mechanism,
        generates: mechanism.generates,
    }
}

/// The worst that the flags say.
pub(super) fn pin(state: PinState) -> &'static str {
    [
        (state.locked, "locked"),
        (state.final_try, "final-try"),
        (state.count_low, "count-low"),
        (state.to_be_changed, "to-be-changed"),
        (!state.initialized, "not-set"),
    ]
    .into_iter()
    .find_map(|(holds, name)| holds.then_some(name))
    .unwrap_or("ok")
}
