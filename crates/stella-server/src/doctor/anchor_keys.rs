//! Whether somebody can sign for each trust anchor.

use std::sync::Arc;

use stella_core::time::Timestamp;
use stella_core::trust::anchor::AnchorStatus;
use stella_core::trust::{KeyRecord, KeyState, KeyType, TrustAnchor, TrustState};

use super::{Check, Finding};
use crate::app::{App, Permission, Result};

pub const CHECK: Check = Check {
    id: "check.anchors.keys",
    about: "each trust anchor accepts a key that somebody can sign with",
    needs: Permission::ReadAnchors,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let trust = app.trust_head().await?;
    let now = app.not_before(&trust);
    if trust.anchors.is_empty() {
        return Ok(vec![Finding::warn(
            "there is no trust anchor",
            "none was made yet; nothing verifies",
            "stella anchor create --purl-pattern PATTERN --key-ids KEY",
        )]);
    }
    let (mut findings, mut good) = (Vec::new(), 0_usize);
    for anchor in trust.anchors.values() {
        if anchor.status != AnchorStatus::Active {
            continue;
        }
        match ability(&trust, anchor, now) {
            Ability::Signs => good += 1,
            Ability::Waits(keys) => findings.push(Finding::warn(
                format!("anchor {} ({}) accepts {keys}, none of them active", anchor.id, anchor.pattern),
                "its profile signs with a key that this anchor does not accept: what it signs fails here",
                add(&trust, anchor, now),
            )),
            Ability::None => findings.push(Finding::fail(
                format!("anchor {} ({}) accepts no key that can sign", anchor.id, anchor.pattern),
                "its keys were revoked, retired or have expired, and none was added after them; nothing new can pass it",
                add(&trust, anchor, now),
            )),
        }
    }
    if good > 0 || findings.is_empty() {
        findings.push(Finding::pass(format!(
            "{good} of {} anchors accept a key that signs; disabled ones are not counted on",
            trust.anchors.size()
        )));
    }
    Ok(findings)
}

/// With the active key of a profile whose keys it held before, else with one
/// that is active at all.
fn add(trust: &TrustState, anchor: &TrustAnchor, now: Timestamp) -> String {
    let active = || {
        let signs = |key: &&KeyRecord| key.key_type == KeyType::Signing && key.may_sign(now);
        trust.keys.values().filter(signs)
    };
    let held = |key: &&KeyRecord| {
        let before = anchor
            .keys
            .iter()
            .filter_map(|entry| trust.keys.get(&entry.key_id));
        before.into_iter().any(|other| other.profile() == key.profile())
    };
    match active().find(held).or_else(|| active().next()) {
        Some(key) => format!(
            "stella anchor add-key --anchor-id {} --key-id {}",
            anchor.id, key.id
        ),
        None => format!(
            "stella keys generate --profile default, then stella anchor add-key --anchor-id {} --key-id KEY",
            anchor.id
        ),
    }
}

enum Ability {
    Signs,
    /// Keys that could be made to sign.
    Waits(String),
    None,
}

fn ability(trust: &TrustState, anchor: &TrustAnchor, now: Timestamp) -> Ability {
    let accepted = || {
        anchor
            .keys
            .iter()
            .filter(|key| key.is_current(now))
            .filter_map(|key| trust.keys.get(&key.key_id))
    };
    // Whoever holds an external key signs elsewhere.
    if accepted().any(|key| key.state(now) == KeyState::External || key.may_sign(now)) {
        return Ability::Signs;
    }
    let waiting: Vec<String> = accepted()
        .filter(|key| !key.has_expired(now))
        .filter_map(|key| match key.state(now) {
            state @ (KeyState::Pending | KeyState::Standby | KeyState::Retiring) => {
                Some(format!("{} ({state})", key.id))
            }
            _ => None,
        })
        .collect();
    if waiting.is_empty() {
        Ability::None
    } else {
        Ability::Waits(waiting.join(", "))
    }
}
