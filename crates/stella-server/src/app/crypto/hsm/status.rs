//! `crypto hsm status`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use stella_core::api::hsm::{BreakerStatus, HsmModuleStatus, HsmStatusList};
use stella_core::trust::{KeyRecord, KeyState, TrustState};
use stella_keys::hsm::{HsmStatus, KeyReference, WorkerState};

use super::{ask, fault};
use crate::app::App;
use crate::app::error::Result;
use crate::config::HsmModule;

impl App {
    /// Each module is asked whether it is there, and then told of.
    pub async fn hsm_status(&self, module: Option<&str>) -> Result<HsmStatusList> {
        let trust = self.trust_head().await?;
        let other_stores = match module {
            Some(_) => Vec::new(),
            None => self.other_stores(&trust),
        };
        let chosen = match self.chosen_modules(module) {
            // Whose keys are in a KMS or a local HSM asks about those.
            Err(_) if !other_stores.is_empty() => Vec::new(),
            chosen => chosen?,
        };
        let mut modules = Vec::new();
        for settings in chosen {
            modules.push(self.module_status(&trust, settings).await?);
        }
        Ok(HsmStatusList {
            modules,
            other_stores,
        })
    }

    fn other_stores(&self, trust: &TrustState) -> Vec<BreakerStatus> {
        let now = self.not_before(trust);
        let stores: BTreeSet<String> = trust
            .keys
            .values()
            .filter(|key| matches!(key.state(now), KeyState::Active | KeyState::Standby))
            .flat_map(KeyRecord::stores)
            .filter(|store| store.parse::<KeyReference>().is_err())
            .filter_map(|store| self.key_store_of(store))
            .collect();
        let stand = |store: &String| self.signers.pool.standing(store, Instant::now());
        stores.iter().map(stand).collect()
    }

    /// The one that is named, else every one; none at all is an error.
    pub(super) fn chosen_modules(&self, module: Option<&str>) -> Result<Vec<&HsmModule>> {
        let named = self.module_settings(module)?;
        Ok(match module {
            Some(_) => vec![named],
            None => self.settings.hsm.modules.iter().collect(),
        })
    }

    async fn module_status(&self, trust: &TrustState, settings: &HsmModule) -> Result<HsmModuleStatus> {
        let keys = self.keys_in(trust, settings);
        let stores: BTreeSet<String> = keys
            .iter()
            .filter_map(|key| self.key_store_of(&key.at.to_string()))
            .collect();
        let told = HsmModuleStatus {
            module: settings.name.clone(),
            default: self.settings.hsm.modules.first() == Some(settings),
            reached: false,
            worker: "idle".to_owned(),
            pid: None,
            worker_seconds: 0.0,
            restarts: 0,
            in_flight: 0,
            tokens: None,
            keys: keys.iter().map(|key| key.id.to_string()).collect(),
            moved_here: self
                .settings
                .profiles
                .keys()
                .filter(|profile| {
                    self.moved_to(trust, profile)
                        .is_some_and(|moved| moved.module == settings.name)
                })
                .map(ToString::to_string)
                .collect(),
            breakers: stores
                .iter()
                .map(|store| self.signers.pool.standing(store, Instant::now()))
                .collect(),
            fault: None,
        };
        let module = match self.module(settings) {
            Ok(module) => module,
            Err(e) => {
                return Ok(HsmModuleStatus {
                    fault: Some(fault::of_error(&e)),
                    ..told
                });
            }
        };
        let reached = ask(Arc::clone(&module), |module| module.check(None)).await?;
        let status = module.status();
        let before = status.last_error.as_ref().map(|(age, error)| {
            let mut fault = fault::of_module(error);
            fault.seconds_ago = Some(age.as_secs_f64());
            fault
        });
        let (tokens, fault) = match &reached {
            Ok(probe) => (u64::try_from(probe.tokens).ok(), before),
            Err(e) => (None, Some(fault::of_module(e))),
        };
        Ok(HsmModuleStatus {
            reached: reached.is_ok(),
            worker: worker(&status).to_owned(),
            pid: status.pid,
            worker_seconds: status.age.as_secs_f64(),
            restarts: status.restarts,
            in_flight: u64::try_from(status.in_flight).unwrap_or(u64::MAX),
            tokens,
            fault,
            ..told
        })
    }
}

fn worker(status: &HsmStatus) -> &'static str {
    match status.state {
        WorkerState::Idle => "idle",
        WorkerState::Starting => "starting",
        WorkerState::Running => "running",
        WorkerState::Waiting { .. } => "waiting",
        WorkerState::Stopped => "stopped",
    }
}
