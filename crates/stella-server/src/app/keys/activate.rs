//! `keys activate`: from now on its profile signs with this key.

use stella_core::api::keys::KeyChange;
use stella_core::id::KeyId;
use stella_core::trust::TrustState;
use stella_core::trust::decide::key::{Activation, activate};

use crate::app::error::Result;
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    pub async fn activate_key(&self, caller: &Caller, id: &str) -> Result<KeyChange> {
        let id = values::key_id(id)?;
        let (activation, state) = self
            .change(caller, |state, now| {
                let activation = activate(state, &id, self.overlap(state), now)?;
                Ok(Decision::new(activation.events.clone(), activation))
            })
            .await?;
        self.activated(&state, &id, &activation)
    }

    fn activated(&self, state: &TrustState, id: &KeyId, activation: &Activation) -> Result<KeyChange> {
        Ok(KeyChange {
            id: id.to_string(),
            status: super::known(state, id)?.state(self.not_before(state)).to_string(),
            outgoing: activation.outgoing.as_ref().map(ToString::to_string),
            lacking_anchors: activation.lacking.iter().map(ToString::to_string).collect(),
            warnings: activation_warnings(state, id, activation),
        })
    }
}

/// Where what the key signs from now on does not verify.
pub(crate) fn activation_warnings(state: &TrustState, id: &KeyId, activation: &Activation) -> Vec<String> {
    let mut warnings: Vec<String> = activation
        .lacking
        .iter()
        .filter_map(|anchor| state.anchors.get(anchor))
        .map(|anchor| {
            format!(
                "anchor {} ({}) does not hold {id}: what it signs does not verify there; stella anchor add-key --anchor-id {} --key-id {id}",
                anchor.id, anchor.pattern, anchor.id
            )
        })
        .collect();
    if warnings.is_empty() && state.anchors_holding(id).next().is_none() {
        warnings.push(format!(
            "no anchor holds {id}: nothing it signs verifies; stella anchor add-key --anchor-id ANCHOR --key-id {id}"
        ));
    }
    warnings
}
