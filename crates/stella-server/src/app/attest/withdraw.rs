//! `attest withdraw`: the statement, under whatever row it is stored.

use std::sync::Arc;

use stella_core::api::attestations::{Attestation, Withdraw};
use stella_core::trust::RevokeReason;
use stella_core::trust::decide::attestation;

use super::view;
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    pub async fn withdraw_attestation(
        &self,
        caller: &Caller,
        id: &str,
        request: Withdraw,
    ) -> Result<Attestation> {
        let row = self.find_attestation(id).await?;
        let reason: RevokeReason = request
            .reason
            .parse()
            .map_err(|e| Error::invalid("revoke.reason", e))?;
        let note = values::note(request.note)?;
        let ((), trust) = self
            .change(caller, |state, _| {
                let events = attestation::withdraw(state, row.pae, reason, note.clone())?;
                Ok(Decision::new(events, ()))
            })
            .await?;
        self.judge_anew(Arc::clone(&trust), &row.pae).await;
        Ok(view(&row, &trust))
    }
}
