//! `anchor update`, `disable`, `enable`.

use std::collections::BTreeSet;

use stella_core::api::anchors::{Anchor, UpdateAnchor};
use stella_core::evidence::TimeClass;
use stella_core::id::AnchorId;
use stella_core::predicate::PredicateType;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::Refusal;
use stella_core::trust::decide::anchor::{find_anchor, set_status, update};
use stella_core::trust::{AnchorStatus, EventBody, TrustState};

use super::{time_class, types};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    pub async fn update_anchor(&self, caller: &Caller, id: &str, request: UpdateAnchor) -> Result<Anchor> {
        let head = self.trust_head().await?;
        let id = values::anchor(&head, id)?.id;
        let change = Change::parse(request)?;
        let ((), state) = self
            .change(caller, |state, _| {
                Ok(Decision::new(change.decide(state, id)?, ()))
            })
            .await?;
        self.view_anchor(&state, id)
    }
}

/// What was given, read; `None` leaves it as it is.
struct Change {
    /// The inner `None` allows all.
    allowed: Option<Option<BTreeSet<PredicateType>>>,
    required: Option<BTreeSet<PredicateType>>,
    threshold: Option<u32>,
    min_time_evidence: Option<TimeClass>,
    time_operators: Option<u32>,
    /// The inner `None` lifts it.
    require_evidence: Option<Option<TimeClass>>,
    require_ledger: Option<bool>,
    status: Option<AnchorStatus>,
    note: Option<String>,
}

impl Change {
    fn parse(request: UpdateAnchor) -> Result<Self> {
        let listed = request
            .allowed_predicate_types
            .as_deref()
            .map(types)
            .transpose()?;
        let allowed = match (request.allow_all_predicate_types, listed) {
            (true, Some(_)) => {
                return Err(Error::invalid(
                    "anchor.types-conflict",
                    "either all predicate types are allowed or those listed",
                ));
            }
            (true, None) => Some(None),
            (false, listed) => listed.map(Some),
        };
        Ok(Self {
            allowed,
            required: request
                .required_predicate_types
                .as_deref()
                .map(types)
                .transpose()?,
            threshold: request.threshold,
            min_time_evidence: request.min_time_evidence.as_deref().map(time_class).transpose()?,
            time_operators: request.time_operators,
            require_evidence: match request.require_evidence.as_deref() {
                None => None,
                Some("none") => Some(None),
                Some(class) => Some(Some(time_class(class)?)),
            },
            require_ledger: request.require_ledger,
            status: request.status.as_deref().map(status).transpose()?,
            note: values::note(request.note)?,
        })
    }

    fn decide(&self, state: &TrustState, id: AnchorId) -> std::result::Result<Vec<EventBody>, Refusal> {
        let policy = self.over(find_anchor(state, id)?.policy.clone());
        let mut events = update(state, id, policy)?;
        for event in &mut events {
            if let EventBody::AnchorUpdated { note, .. } = event {
                note.clone_from(&self.note);
            }
        }
        if let Some(status) = self.status {
            events.extend(set_status(state, id, status, self.note.clone())?);
        }
        Ok(events)
    }

    fn over(&self, present: AnchorPolicy) -> AnchorPolicy {
        AnchorPolicy {
            allowed_predicate_types: self.allowed.clone().unwrap_or(present.allowed_predicate_types),
            required_predicate_types: self.required.clone().unwrap_or(present.required_predicate_types),
            threshold: self.threshold.unwrap_or(present.threshold),
            min_time_evidence: self.min_time_evidence.unwrap_or(present.min_time_evidence),
            time_operators: self.time_operators.unwrap_or(present.time_operators),
            require_evidence: self.require_evidence.unwrap_or(present.require_evidence),
            require_ledger: self.require_ledger.unwrap_or(present.require_ledger),
        }
    }
}

fn status(text: &str) -> Result<AnchorStatus> {
    match text {
        "active" => Ok(AnchorStatus::Active),
        "disabled" => Ok(AnchorStatus::Disabled),
        other => Err(Error::invalid(
            "anchor.status",
            format!("{other:?} is not a status of an anchor: use active or disabled"),
        )),
    }
}
