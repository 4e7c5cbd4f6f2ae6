//! `anchor create`.

use std::collections::BTreeSet;

use stella_core::api::anchors::{Anchor, CreateAnchor};
use stella_core::evidence::TimeClass;
use stella_core::id::AnchorId;
use stella_core::predicate::PredicateType;
use stella_core::purl::PurlPattern;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide;

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};
use crate::entropy;

impl App {
    pub async fn create_anchor(&self, caller: &Caller, request: CreateAnchor) -> Result<Anchor> {
        let id = match &request.trust_anchor_id {
            Some(text) => text
                .parse()
                .map_err(|e| Error::invalid("anchor.id", format!("{text:?} is not a UUID: {e}")))?,
            None => AnchorId::new(self.now(), entropy::id_bytes(self.entropy.as_ref())?),
        };
        let pattern: PurlPattern = request
            .purl_pattern
            .parse()
            .map_err(|e| Error::invalid("anchor.pattern", e))?;
        let mut policy = AnchorPolicy::default();
        if let Some(types) = &request.allowed_predicate_types {
            policy.allowed_predicate_types = Some(predicate_types(types)?);
        }
        if let Some(types) = &request.required_predicate_types {
            policy.required_predicate_types = predicate_types(types)?;
        }
        policy.threshold = request.threshold.unwrap_or(policy.threshold);
        policy.time_operators = request.time_operators.unwrap_or(policy.time_operators);
        policy.require_ledger = request.require_ledger.unwrap_or(policy.require_ledger);
        if let Some(class) = &request.min_time_evidence {
            policy.min_time_evidence = time_class(class)?;
        }
        policy.require_evidence = request.require_evidence.as_deref().map(time_class).transpose()?;
        let keys = request
            .key_ids
            .iter()
            .map(|k| values::key_id(k))
            .collect::<Result<Vec<_>>>()?;
        let ((), state) = self
            .change(caller, |state, now| {
                let events = decide::anchor::create(state, id, pattern.clone(), policy.clone(), &keys, now)?;
                Ok(Decision::new(events, ()))
            })
            .await?;
        let anchor = state
            .anchors
            .get(&id)
            .ok_or_else(|| Error::internal("the new anchor is not in the state"))?;
        Ok(super::view(anchor, &state))
    }
}

pub(super) fn predicate_types(names: &[String]) -> Result<BTreeSet<PredicateType>> {
    names
        .iter()
        .map(|n| PredicateType::from_name(n).map_err(|e| Error::invalid("predicate.unknown", e)))
        .collect()
}

pub(super) fn time_class(text: &str) -> Result<TimeClass> {
    text.parse()
        .map_err(|e| Error::invalid("anchor.time-evidence", e))
}
