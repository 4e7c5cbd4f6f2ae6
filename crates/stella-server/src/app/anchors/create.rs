//! `anchor create`.

use stella_core::api::anchors::{Anchor, CreateAnchor};
use stella_core::id::{AnchorId, KeyId};
use stella_core::purl::PurlPattern;
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::anchor::create;

use super::{must_sign_statements, time_class, types};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};
use crate::entropy;

impl App {
    pub async fn create_anchor(&self, caller: &Caller, request: CreateAnchor) -> Result<Anchor> {
        let id = match request.trust_anchor_id.as_deref().filter(|t| !t.is_empty()) {
            Some(text) => text.parse::<AnchorId>().map_err(|_| {
                Error::invalid(
                    "anchor.id",
                    format!("{text:?} is no UUID, which a trust anchor's id is"),
                )
            })?,
            None => AnchorId::new(self.now(), entropy::id_bytes(self.entropy.as_ref())?),
        };
        let pattern: PurlPattern = request
            .purl_pattern
            .parse()
            .map_err(|e| Error::invalid("anchor.pattern", format!("{:?}: {e}", request.purl_pattern)))?;
        let keys: Vec<KeyId> = request
            .key_ids
            .iter()
            .map(|k| values::key_id(k))
            .collect::<Result<_>>()?;
        let policy = policy(&request)?;
        let ((), state) = self
            .change(caller, |state, now| {
                for key in &keys {
                    must_sign_statements(state, key)?;
                }
                let events = create(state, id, pattern.clone(), policy.clone(), &keys, now)?;
                Ok(Decision::new(events, ()))
            })
            .await?;
        self.view_anchor(&state, id)
    }
}

fn policy(request: &CreateAnchor) -> Result<AnchorPolicy> {
    let default = AnchorPolicy::default();
    Ok(AnchorPolicy {
        allowed_predicate_types: request
            .allowed_predicate_types
            .as_deref()
            .map(types)
            .transpose()?,
        required_predicate_types: types(request.required_predicate_types.as_deref().unwrap_or_default())?,
        threshold: request.threshold.unwrap_or(default.threshold),
        min_time_evidence: match request.min_time_evidence.as_deref() {
            Some(class) => time_class(class)?,
            None => default.min_time_evidence,
        },
        time_operators: request.time_operators.unwrap_or(default.time_operators),
        require_evidence: match request.require_evidence.as_deref() {
            None | Some("none") => None,
            Some(class) => Some(time_class(class)?),
        },
        require_ledger: request.require_ledger.unwrap_or(default.require_ledger),
    })
}
