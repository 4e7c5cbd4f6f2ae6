//! Trust anchors: one file a use case.

mod add_key;
mod create;
mod explain;
mod list;
mod revoke_key;
mod status;
mod update;

use std::collections::BTreeSet;

use stella_core::api::anchors::{Anchor, KeyHistory};
use stella_core::evidence::TimeClass;
use stella_core::id::KeyId;
use stella_core::predicate::PredicateType;
use stella_core::time::Timestamp;
use stella_core::trust::decide::Refusal;
use stella_core::trust::{AnchorKey, KeyType, TrustAnchor, TrustState};

use crate::app::error::{Error, Result};

/// An anchor in the runbook's structure.
pub fn view(anchor: &TrustAnchor, state: &TrustState, now: Timestamp) -> Anchor {
    let named = |wanted: fn(&AnchorKey, Timestamp) -> bool| {
        anchor
            .keys
            .iter()
            .filter(|k| wanted(k, now))
            .map(|k| k.key_id.to_string())
            .collect()
    };
    let policy = &anchor.policy;
    Anchor {
        trust_anchor_id: anchor.id.to_string(),
        purl_pattern: anchor.pattern.to_string(),
        status: anchor.status.to_string(),
        allowed_keyids: named(|k, now| k.is_current(now)),
        allowed_predicate_types: policy.allowed_predicate_types.as_ref().map(names),
        required_predicate_types: names(&policy.required_predicate_types),
        policy_version: anchor.policy_version.to_string(),
        revoked_keys: named(|k, now| k.end.is_some() && !k.is_current(now)),
        key_history: anchor.keys.iter().map(|k| history(k, state)).collect(),
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

fn names(types: &BTreeSet<PredicateType>) -> Vec<String> {
    types.iter().map(|t| t.short().into_owned()).collect()
}

fn types(names: &[String]) -> Result<BTreeSet<PredicateType>> {
    names
        .iter()
        .map(|n| PredicateType::from_name(n).map_err(|e| Error::invalid("predicate.unknown", e)))
        .collect()
}

fn time_class(text: &str) -> Result<TimeClass> {
    text.parse().map_err(|e| Error::invalid("time.class", e))
}

/// What judges statements is not what signs checkpoints, timestamps or feeds.
fn must_sign_statements(state: &TrustState, id: &KeyId) -> std::result::Result<(), Refusal> {
    match state.keys.get(id) {
        Some(key) if key.key_type != KeyType::Signing => Err(Refusal::conflict(
            "key.not-a-signing-key",
            format!(
                "{id} is a {} key; a trust anchor holds signing keys",
                key.key_type
            ),
        )),
        _ => Ok(()),
    }
}
