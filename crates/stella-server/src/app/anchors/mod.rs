//! Trust anchors: one file a use case.

mod create;
mod explain;
mod keys;
mod status;
mod update;

use stella_core::api::anchors::{Anchor, AnchorList, KeyHistory};
use stella_core::trust::{AnchorKey, TrustAnchor, TrustState};

use crate::app::error::Result;
use crate::app::{App, values};

impl App {
    pub async fn list_anchors(&self) -> Result<AnchorList> {
        let state = self.trust_head().await?;
        let mut anchors: Vec<_> = state.anchors.values().collect();
        anchors.sort_by_key(|a| (a.created_at, a.id));
        Ok(AnchorList {
            anchors: anchors.into_iter().map(|a| view(a, &state)).collect(),
        })
    }

    pub async fn show_anchor(&self, id: &str) -> Result<Anchor> {
        let state = self.trust_head().await?;
        Ok(view(values::anchor(&state, id)?, &state))
    }
}

/// An anchor as the key-rotation runbook writes it.
pub fn view(anchor: &TrustAnchor, state: &TrustState) -> Anchor {
    let names = |wanted: &dyn Fn(&&AnchorKey) -> bool| {
        anchor
            .keys
            .iter()
            .filter(wanted)
            .map(|k| k.key_id.to_string())
            .collect()
    };
    let policy = &anchor.policy;
    let short = |types: &std::collections::BTreeSet<stella_core::predicate::PredicateType>| {
        types.iter().map(|t| t.short().into_owned()).collect::<Vec<_>>()
    };
    Anchor {
        trust_anchor_id: anchor.id.to_string(),
        purl_pattern: anchor.pattern.to_string(),
        status: anchor.status.to_string(),
        allowed_keyids: names(&|k| k.end.is_none()),
        allowed_predicate_types: policy.allowed_predicate_types.as_ref().map(short),
        required_predicate_types: short(&policy.required_predicate_types),
        policy_version: anchor.policy_version.to_string(),
        revoked_keys: names(&|k| k.end.is_some()),
        key_history: anchor.keys.iter().map(|held| history(held, state)).collect(),
        threshold: policy.threshold,
        min_time_evidence: policy.min_time_evidence.to_string(),
        time_operators: policy.time_operators,
        require_evidence: policy.require_evidence.map(|c| c.to_string()),
        require_ledger: policy.require_ledger,
        created_at: anchor.created_at.to_string(),
    }
}

fn history(held: &AnchorKey, state: &TrustState) -> KeyHistory {
    let end = held.end.as_ref();
    KeyHistory {
        keyid: held.key_id.to_string(),
        algorithm: state
            .keys
            .get(&held.key_id)
            .map(|k| k.public_key.algorithm().to_string())
            .unwrap_or_default(),
        added_at: held.added_at.to_string(),
        expires_at: held.expires_at.map(|t| t.to_string()),
        revoked_at: end.map(|e| e.effective_at.to_string()),
        revoke_reason: end.map(|e| e.reason.to_string()),
        compromised_since: end.and_then(|e| e.compromised_since).map(|t| t.to_string()),
        note: end.and_then(|e| e.note.clone()),
    }
}
