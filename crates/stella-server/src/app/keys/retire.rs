//! `keys retire`: the end of signing with a key; what it signed stays valid.

use stella_core::api::keys::KeyChange;
use stella_core::trust::decide::key::retire;

use crate::app::error::Result;
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    pub async fn retire_key(&self, caller: &Caller, id: &str) -> Result<KeyChange> {
        let id = values::key_id(id)?;
        let ((), state) = self
            .change(caller, |state, now| {
                Ok(Decision::new(retire(state, &id, now)?, ()))
            })
            .await?;
        Ok(KeyChange {
            id: id.to_string(),
            status: super::known(&state, &id)?
                .state(self.not_before(&state))
                .to_string(),
            outgoing: None,
            lacking_anchors: Vec::new(),
            warnings: Vec::new(),
        })
    }
}
