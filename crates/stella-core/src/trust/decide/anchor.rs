//! Creating and changing trust anchors.

use std::time::Duration;

use crate::evidence::TimeClass;
use crate::id::{AnchorId, KeyId};
use crate::purl::PurlPattern;
use crate::time::Timestamp;
use crate::trust::anchor::{AnchorPolicy, AnchorStatus, TrustAnchor};
use crate::trust::decide::Refusal;
use crate::trust::decide::key::find;
use crate::trust::event::EventBody;
use crate::trust::key::{KeyState, KeyType};
use crate::trust::state::TrustState;

/// One anchor by name, or all that concern the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    One(AnchorId),
    All,
}

pub fn create(
    state: &TrustState,
    id: AnchorId,
    pattern: PurlPattern,
    policy: AnchorPolicy,
    keys: &[KeyId],
    now: Timestamp,
) -> Result<Vec<EventBody>, Refusal> {
    if state.anchors.contains_key(&id) {
        return Err(
            Refusal::conflict("anchor.exists", format!("a trust anchor with id {id} exists"))
                .next(format!("stella anchor show {id}")),
        );
    }
    check_policy(&policy)?;
    let mut events = vec![EventBody::AnchorCreated {
        anchor_id: id,
        purl_pattern: pattern,
        policy,
    }];
    for key in keys {
        trustworthy(state, key, now)?;
        let again = events.iter().any(|e| e.key_id() == Some(key));
        if !again {
            events.push(EventBody::KeyAdded {
                anchor_id: id,
                key_id: key.clone(),
                added_at: now,
                expires_at: None,
            });
        }
    }
    Ok(events)
}

pub fn update(state: &TrustState, id: AnchorId, policy: AnchorPolicy) -> Result<Vec<EventBody>, Refusal> {
    let anchor = find_anchor(state, id)?;
    check_policy(&policy)?;
    if anchor.policy == policy {
        return Ok(Vec::new());
    }
    Ok(vec![EventBody::AnchorUpdated {
        anchor_id: id,
        policy,
        note: None,
    }])
}

pub fn set_status(
    state: &TrustState,
    id: AnchorId,
    status: AnchorStatus,
    note: Option<String>,
) -> Result<Vec<EventBody>, Refusal> {
    let anchor = find_anchor(state, id)?;
    if anchor.status == status {
        return Ok(Vec::new());
    }
    Ok(vec![match status {
        AnchorStatus::Disabled => EventBody::AnchorDisabled { anchor_id: id, note },
        AnchorStatus::Active => EventBody::AnchorEnabled { anchor_id: id, note },
    }])
}

/// What adding a key does: which anchors take it, which had it already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    pub events: Vec<EventBody>,
    pub added_to: Vec<AnchorId>,
    pub held_already: Vec<AnchorId>,
}

/// Adds a key that is already known. With [`Scope::All`]: to every anchor
/// that holds or held a key of the new key's profile.
pub fn add_key(
    state: &TrustState,
    scope: &Scope,
    key_id: &KeyId,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Addition, Refusal> {
    trustworthy(state, key_id, now)?;
    if expires_at.is_some_and(|t| t <= now) {
        return Err(Refusal::invalid(
            "anchor.expires-in-past",
            "--expires lies in the past; to trust only old signatures by a key, add it and revoke it with --effective-at",
        ));
    }
    let anchors: Vec<&TrustAnchor> = match scope {
        Scope::One(id) => vec![find_anchor(state, *id)?],
        Scope::All => affected(state, key_id)?,
    };
    let mut out = Addition {
        events: Vec::new(),
        added_to: Vec::new(),
        held_already: Vec::new(),
    };
    for anchor in anchors {
        match anchor.key(key_id) {
            Some(held) if held.end.is_some() => {
                return Err(Refusal::conflict(
                    "anchor.key-revoked-here",
                    format!(
                        "{key_id} was revoked in anchor {}; a revoked key is never added again",
                        anchor.id
                    ),
                )
                .next("stella keys generate, then add the new key"));
            }
            Some(_) => out.held_already.push(anchor.id),
            None => {
                out.added_to.push(anchor.id);
                out.events.push(EventBody::KeyAdded {
                    anchor_id: anchor.id,
                    key_id: key_id.clone(),
                    added_at: now,
                    expires_at,
                });
            }
        }
    }
    Ok(out)
}

/// Applies `events` to a copy and adds the activation that they bring about.
pub fn with_activation(
    state: &TrustState,
    mut events: Vec<EventBody>,
    key_id: &KeyId,
    overlap: Duration,
    now: Timestamp,
) -> Vec<EventBody> {
    let mut after = state.clone();
    // Events that contradict the state bring about nothing; whoever appends
    // them is refused by the fold itself.
    if after.preview(&events, now).is_ok() {
        events.extend(super::key::activate_on_trust(&after, key_id, overlap, now));
    }
    events
}

pub fn find_anchor(state: &TrustState, id: AnchorId) -> Result<&TrustAnchor, Refusal> {
    state.anchors.get(&id).ok_or_else(|| {
        Refusal::not_found("anchor.unknown", format!("trust anchor not found: {id}"))
            .next("stella anchor list")
    })
}

fn affected<'a>(state: &'a TrustState, key_id: &KeyId) -> Result<Vec<&'a TrustAnchor>, Refusal> {
    let profile = find(state, key_id)?.profile();
    let Some(profile) = profile else {
        return Err(Refusal::invalid(
            "anchor.all-needs-profile",
            format!("{key_id} belongs to no profile, so ALL names no anchors; give --anchor-id"),
        )
        .next("stella anchor list"));
    };
    let of_profile = |id: &KeyId| state.keys.get(id).and_then(|k| k.profile()) == Some(profile);
    let found: Vec<_> = state
        .anchors
        .values()
        .filter(|a| a.keys.iter().any(|k| of_profile(&k.key_id)))
        .collect();
    if found.is_empty() {
        return Err(Refusal::not_found(
            "anchor.none-affected",
            format!("no anchor holds or held a key of profile {profile}"),
        )
        .next(format!(
            "stella anchor create --purl-pattern 'pkg:npm/*' --key-ids {key_id}"
        )));
    }
    Ok(found)
}

/// A key that signs statements, neither revoked nor compromised as a whole.
fn trustworthy(state: &TrustState, key_id: &KeyId, now: Timestamp) -> Result<(), Refusal> {
    let key = find(state, key_id)?;
    if key.key_type != KeyType::Signing {
        return Err(Refusal::conflict(
            "key.not-a-signing-key",
            format!(
                "{key_id} is a {} key; an anchor holds keys that sign statements",
                key.key_type
            ),
        )
        .next("stella keys list --type signing"));
    }
    match key.state(now) {
        bad @ (KeyState::Revoked | KeyState::Compromised) => Err(Refusal::conflict(
            "key.ended",
            format!("{key_id} is {bad}; it cannot enter an anchor"),
        )
        .next("stella keys generate, then add the new key")),
        _ => Ok(()),
    }
}

fn check_policy(policy: &AnchorPolicy) -> Result<(), Refusal> {
    if policy.threshold == 0 || policy.time_operators == 0 {
        return Err(Refusal::invalid("anchor.threshold", "a threshold is at least 1"));
    }
    let claimed = Some(TimeClass::Claimed);
    if Some(policy.min_time_evidence) == claimed || policy.require_evidence == claimed {
        return Err(Refusal::invalid(
            "anchor.evidence-class",
            "the signer's own claim is no evidence of time: use recorded or attested",
        ));
    }
    if let Some(missing) = policy.required_predicate_types.iter().find(|t| !policy.allows(t)) {
        return Err(Refusal::invalid(
            "anchor.required-not-allowed",
            format!(
                "{} is required but not among the allowed predicate types: nothing could ever pass",
                missing.short()
            ),
        ));
    }
    Ok(())
}
