//! Entering, activating and retiring keys.

use std::time::Duration;

use crate::alg::PublicKey;
use crate::id::{KeyId, ProfileName};
use crate::time::Timestamp;
use crate::trust::decide::Refusal;
use crate::trust::event::{CustodyEntered, EventBody, KeyEntered};
use crate::trust::key::{KeyRecord, KeyState, KeyType};
use crate::trust::state::TrustState;

/// A key whose private half is ours to use.
#[derive(Debug, Clone)]
pub struct NewOwnKey {
    pub key_id: KeyId,
    pub key_type: KeyType,
    pub public_key: PublicKey,
    pub profile: ProfileName,
    pub store: String,
    pub created_at: Timestamp,
    pub not_after: Option<Timestamp>,
    pub standby: bool,
    /// Imported rather than made here.
    pub imported: bool,
}

/// Whether the name and the material are free; asked before a key is made, so
/// that no token ends up holding a key that cannot be entered.
pub fn check_free(state: &TrustState, id: &KeyId, material: Option<&PublicKey>) -> Result<(), Refusal> {
    if state.keys.contains_key(id) {
        return Err(Refusal::conflict(
            "key.exists",
            format!("a key named {id} exists; key ids are never reused"),
        )
        .next(format!("stella keys show {id}")));
    }
    if let Some(other) = material.and_then(|key| state.key_of_material(&key.fingerprint())) {
        return Err(Refusal::conflict(
            "key.same-material",
            format!(
                "this is the key {}, under another name; the same key material cannot be entered twice",
                other.id
            ),
        )
        .next(format!("stella keys show {}", other.id)));
    }
    Ok(())
}

/// A key generated in a profile that has none to sign with is active at once,
/// a feed key always.
pub fn enter_own(state: &TrustState, new: NewOwnKey, now: Timestamp) -> Result<Vec<EventBody>, Refusal> {
    check_free(state, &new.key_id, Some(&new.public_key))?;
    check_created(Some(new.created_at), now)?;
    let at_once = match new.key_type {
        KeyType::Signing => state.active_key(&new.profile, now).is_none(),
        // Beside the others: who pins an older root still knows those.
        KeyType::Feed => true,
        KeyType::Log | KeyType::Timestamp => false,
    };
    let first = at_once && !new.standby && new.not_after.is_none_or(|end| now < end);
    let key_id = new.key_id.clone();
    let entered = KeyEntered {
        key_id: new.key_id,
        key_type: new.key_type,
        public_key: new.public_key,
        created_at: Some(new.created_at),
        custody: Some(CustodyEntered {
            profile: new.profile,
            store: new.store,
            not_after: new.not_after,
            standby: new.standby,
        }),
    };
    let mut events = vec![if new.imported {
        EventBody::KeyImported(entered)
    } else {
        EventBody::KeyGenerated(entered)
    }];
    if first {
        events.push(EventBody::KeyActivated { key_id });
    }
    Ok(events)
}

/// Somebody else's public key: it verifies here and signs nothing.
pub fn enter_external(
    state: &TrustState,
    key_id: KeyId,
    public_key: PublicKey,
    created_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<EventBody>, Refusal> {
    check_free(state, &key_id, Some(&public_key))?;
    check_created(created_at, now)?;
    let key_type = KeyType::Signing;
    Ok(vec![EventBody::KeyImported(KeyEntered {
        key_id,
        key_type,
        public_key,
        created_at,
        custody: None,
    })])
}

fn check_created(created_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    if created_at.is_some_and(|t| t > now) {
        return Err(Refusal::invalid(
            "key.created-in-future",
            "a key cannot have been created in the future",
        ));
    }
    Ok(())
}

/// What activating did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    pub events: Vec<EventBody>,
    pub outgoing: Option<KeyId>,
    /// Anchors that hold the outgoing key but not the new one: what is signed
    /// from now on does not verify there.
    pub lacking: Vec<crate::id::AnchorId>,
}

pub fn activate(
    state: &TrustState,
    id: &KeyId,
    overlap: Duration,
    now: Timestamp,
) -> Result<Activation, Refusal> {
    let key = find(state, id)?;
    let profile = able_to_sign(key, now)?;
    if key.state(now) == KeyState::Active {
        return Ok(Activation {
            events: Vec::new(),
            outgoing: None,
            lacking: Vec::new(),
        });
    }
    if key.has_expired(now) {
        return Err(Refusal::conflict(
            "key.past-its-life",
            format!("{id} is past the age its profile allows"),
        )
        .next(format!("stella keys generate --profile {profile}")));
    }
    let outgoing = state.active_key(profile, now).map(|k| k.id.clone());
    let mut events = Vec::new();
    let mut lacking = Vec::new();
    if let Some(old) = &outgoing {
        let until = now.saturating_add(overlap);
        events.push(EventBody::KeyRetiring {
            key_id: old.clone(),
            until,
            successor: id.clone(),
        });
        lacking = lacking_anchors(state, old, id);
    }
    events.push(EventBody::KeyActivated { key_id: id.clone() });
    Ok(Activation {
        events,
        outgoing,
        lacking,
    })
}

fn able_to_sign(key: &KeyRecord, now: Timestamp) -> Result<&ProfileName, Refusal> {
    let id = &key.id;
    let Some(profile) = key.profile() else {
        return Err(Refusal::conflict(
            "key.external",
            format!("{id} only verifies here: its private half is elsewhere"),
        ));
    };
    if key.key_type != KeyType::Signing {
        return Err(Refusal::conflict(
            "key.not-a-signing-key",
            format!("{id} is a {} key", key.key_type),
        ));
    }
    match key.state(now) {
        state @ (KeyState::Revoked | KeyState::Compromised) => {
            return Err(Refusal::conflict(
                "key.ended",
                format!("{id} is {state} and signs nothing any more"),
            )
            .next(format!("stella keys generate --profile {profile}")));
        }
        KeyState::Retired => {
            return Err(Refusal::conflict(
                "key.retired",
                format!("{id} is retired; a retired key signs nothing new"),
            )
            .next(format!("stella keys generate --profile {profile}")));
        }
        _ => {}
    }
    Ok(profile)
}

/// `rotation.activate: on-trust`: a pending key takes over once every anchor
/// that holds the outgoing key holds it too. Asked after keys were added.
pub fn activate_on_trust(
    state: &TrustState,
    id: &KeyId,
    overlap: Duration,
    now: Timestamp,
) -> Vec<EventBody> {
    let Some(key) = state.keys.get(id) else {
        return Vec::new();
    };
    if key.state(now) != KeyState::Pending {
        return Vec::new();
    }
    match activate(state, id, overlap, now) {
        Ok(activation) if activation.lacking.is_empty() && state.anchors_holding(id).next().is_some() => {
            activation.events
        }
        _ => Vec::new(),
    }
}

pub fn retire(state: &TrustState, id: &KeyId, now: Timestamp) -> Result<Vec<EventBody>, Refusal> {
    let key = find(state, id)?;
    match key.state(now) {
        KeyState::Retired => Ok(Vec::new()),
        KeyState::Active if key.key_type == KeyType::Feed => retire_feed(state, key, now),
        KeyState::Active => Err(still_active(key)),
        state @ (KeyState::Revoked | KeyState::Compromised) => {
            Err(Refusal::conflict("key.ended", format!("{id} is already {state}")))
        }
        KeyState::External => Err(Refusal::conflict(
            "key.external",
            format!("{id} never signs here"),
        )),
        KeyState::Pending | KeyState::Standby | KeyState::Retiring => {
            Ok(vec![EventBody::KeyRetired { key_id: id.clone() }])
        }
    }
}

fn retire_feed(state: &TrustState, key: &KeyRecord, now: Timestamp) -> Result<Vec<EventBody>, Refusal> {
    let id = &key.id;
    let mut others = state.active_feed_keys(now).filter(|other| other.id != *id);
    if others.any(|other| other.may_sign(now)) {
        return Ok(vec![EventBody::KeyRetired { key_id: id.clone() }]);
    }
    Err(Refusal::conflict(
        "key.active",
        format!("{id} is the only feed key that may sign; make its successor first, and let verifiers pin the root that names both"),
    )
    .next("stella keys generate --type feed && stella trust root --out root.json"))
}

pub(super) fn find<'a>(state: &'a TrustState, id: &KeyId) -> Result<&'a KeyRecord, Refusal> {
    state.keys.get(id).ok_or_else(|| {
        Refusal::not_found("key.unknown", format!("no key named {id}")).next("stella keys list")
    })
}

pub(super) fn still_active(key: &KeyRecord) -> Refusal {
    let id = &key.id;
    if key.key_type == KeyType::Feed {
        return Refusal::conflict(
            "key.active",
            format!("{id} still signs trust bundles; retire it first"),
        )
        .next(format!("stella keys retire {id}"));
    }
    let profile = key
        .profile()
        .map_or_else(|| "PROFILE".to_owned(), ToString::to_string);
    Refusal::conflict("key.active", format!("{id} is the key that profile {profile} signs with; activate its successor first"))
        .next(format!(
            "stella keys generate --profile {profile} && stella anchor add-key --anchor-id ALL --key-id NEW-KEY (it becomes active once every anchor holds it)"
        ))
}

fn lacking_anchors(state: &TrustState, old: &KeyId, new: &KeyId) -> Vec<crate::id::AnchorId> {
    state
        .anchors_holding(old)
        .filter(|a| !a.holds(new))
        .map(|a| a.id)
        .collect()
}
