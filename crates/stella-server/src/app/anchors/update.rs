//! `anchor update`, `anchor disable`, `anchor enable`: only what is given changes.

use stella_core::api::anchors::{Anchor, UpdateAnchor};
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::{AnchorStatus, decide};

use super::create::{predicate_types, time_class};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    pub async fn update_anchor(&self, caller: &Caller, id: &str, request: UpdateAnchor) -> Result<Anchor> {
        let state = self.trust_head().await?;
        let id = values::anchor(&state, id)?.id;
        let status = match request.status.as_deref() {
            None => None,
            Some("active") => Some(AnchorStatus::Active),
            Some("disabled") => Some(AnchorStatus::Disabled),
            Some(other) => {
                return Err(Error::invalid(
                    "anchor.status",
                    format!("{other:?} is not a status: use active or disabled"),
                ));
            }
        };
        // Parsed before anything is decided, so that deciding cannot fail halfway.
        changed(&request, AnchorPolicy::default())?;
        let ((), state) = self
            .change(caller, |state, _| {
                let anchor = decide::anchor::find_anchor(state, id)?;
                let policy = changed(&request, anchor.policy.clone())
                    .map_err(|e| decide::Refusal::invalid("anchor.policy", e.message))?;
                let mut events = decide::anchor::update(state, id, policy)?;
                if let Some(status) = status {
                    events.extend(decide::anchor::set_status(
                        state,
                        id,
                        status,
                        request.note.clone(),
                    )?);
                }
                Ok(Decision::new(events, ()))
            })
            .await?;
        let anchor = state
            .anchors
            .get(&id)
            .ok_or_else(|| Error::internal("the anchor is not in the state"))?;
        Ok(super::view(anchor, &state))
    }
}

fn changed(request: &UpdateAnchor, mut policy: AnchorPolicy) -> Result<AnchorPolicy> {
    if request.allow_all_predicate_types {
        policy.allowed_predicate_types = None;
    }
    if let Some(types) = &request.allowed_predicate_types {
        policy.allowed_predicate_types = Some(predicate_types(types)?);
    }
    if let Some(types) = &request.required_predicate_types {
        policy.required_predicate_types = predicate_types(types)?;
    }
    if let Some(class) = &request.min_time_evidence {
        policy.min_time_evidence = time_class(class)?;
    }
    match request.require_evidence.as_deref() {
        None => {}
        Some("none") => policy.require_evidence = None,
        Some(class) => policy.require_evidence = Some(time_class(class)?),
    }
    policy.threshold = request.threshold.unwrap_or(policy.threshold);
    policy.time_operators = request.time_operators.unwrap_or(policy.time_operators);
    policy.require_ledger = request.require_ledger.unwrap_or(policy.require_ledger);
    Ok(policy)
}
