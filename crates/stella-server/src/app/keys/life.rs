//! `keys activate`, `keys retire`.

use std::time::Duration;

use stella_core::api::keys::KeyChange;
use stella_core::id::KeyId;
use stella_core::trust::{TrustState, decide};

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    pub async fn activate_key(&self, caller: &Caller, id: &str) -> Result<KeyChange> {
        let id = values::key_id(id)?;
        let (activation, state) = self
            .change(caller, |state, now| {
                let activation = decide::key::activate(state, &id, self.overlap(state), now)?;
                Ok(Decision::new(activation.events.clone(), activation))
            })
            .await?;
        let lacking: Vec<_> = activation.lacking.iter().map(ToString::to_string).collect();
        let mut change = self.key_change(&state, &id)?;
        change.outgoing = activation.outgoing.map(String::from);
        if let Some(anchor) = lacking.first() {
            change.warnings.push(format!(
                "{} anchor(s) do not hold {id}: what it signs does not verify there. Run: stella anchor add-key --anchor-id {anchor} --key-id {id}",
                lacking.len()
            ));
        }
        change.lacking_anchors = lacking;
        Ok(change)
    }

    pub async fn retire_key(&self, caller: &Caller, id: &str) -> Result<KeyChange> {
        let id = values::key_id(id)?;
        let ((), state) = self
            .change(caller, |state, now| {
                Ok(Decision::new(decide::key::retire(state, &id, now)?, ()))
            })
            .await?;
        self.key_change(&state, &id)
    }

    /// How long a replaced key stays `retiring`: the runtime setting, else the file's.
    pub fn overlap(&self, state: &TrustState) -> Duration {
        state
            .settings
            .get("rotation.overlap_days")
            .and_then(|days| days.parse::<u64>().ok())
            .map_or(self.settings.rotation.overlap, |days| {
                Duration::from_secs(days.saturating_mul(86_400))
            })
    }

    fn key_change(&self, state: &TrustState, id: &KeyId) -> Result<KeyChange> {
        let key = state
            .keys
            .get(id)
            .ok_or_else(|| Error::internal("the key is not in the state"))?;
        Ok(KeyChange {
            id: id.to_string(),
            status: key.state(self.now()).to_string(),
            outgoing: None,
            lacking_anchors: Vec::new(),
            warnings: Vec::new(),
        })
    }
}
