//! The places a key signs in: the same material may be in several tokens.

use crate::id::KeyId;
use crate::time::Timestamp;
use crate::trust::decide::Refusal;
use crate::trust::decide::key::find;
use crate::trust::event::EventBody;
use crate::trust::key::{KeyRecord, KeyState, KeyType, OwnKey};
use crate::trust::state::TrustState;

/// Whether it may sign in a further store: asked before that is tried out.
pub fn may_gain_store<'a>(
    state: &'a TrustState,
    id: &KeyId,
    now: Timestamp,
) -> Result<&'a KeyRecord, Refusal> {
    let (key, _) = own(state, id)?;
    if key.key_type != KeyType::Signing {
        return Err(Refusal::conflict(
            "key.not-a-signing-key",
            format!(
                "{id} is a {} key: it stays in the one store it was made in",
                key.key_type
            ),
        ));
    }
    match key.state(now) {
        ended @ (KeyState::Revoked | KeyState::Compromised | KeyState::Retired) => Err(Refusal::conflict(
            "key.ended",
            format!("{id} is {ended} and signs nothing any more, wherever it is"),
        )),
        _ => Ok(key),
    }
}

/// The store must have been seen to sign with this very key.
pub fn add_store(
    state: &TrustState,
    id: &KeyId,
    store: &str,
    now: Timestamp,
) -> Result<Vec<EventBody>, Refusal> {
    let key = may_gain_store(state, id, now)?;
    if key.stores().any(|known| known == store) {
        return Ok(Vec::new());
    }
    Ok(vec![EventBody::KeyStoreAdded {
        key_id: id.clone(),
        store: store.to_owned(),
    }])
}

/// Of a key in several stores; the last one ends with the key. Nothing is
/// deleted there.
pub fn remove_store(state: &TrustState, id: &KeyId, store: &str) -> Result<Vec<EventBody>, Refusal> {
    let (_, own) = own(state, id)?;
    if !own.stores().any(|known| known == store) {
        let stores: Vec<_> = own.stores().collect();
        return Err(Refusal::not_found(
            "key.not-in-store",
            format!("{id} does not sign in {store}, but in {}", stores.join(", ")),
        )
        .next(format!("stella keys show {id}")));
    }
    if own.further_stores.is_empty() {
        return Err(Refusal::conflict(
            "key.last-store",
            format!("{id} signs in {store} alone"),
        )
        .next(format!(
            "stella keys add-store {id} --key-store URI first, or stella keys retire {id} to end signing with it"
        )));
    }
    Ok(vec![EventBody::KeyStoreRemoved {
        key_id: id.clone(),
        store: store.to_owned(),
    }])
}

fn own<'a>(state: &'a TrustState, id: &KeyId) -> Result<(&'a KeyRecord, &'a OwnKey), Refusal> {
    let key = find(state, id)?;
    match key.own() {
        Some(own) => Ok((key, own)),
        None => Err(Refusal::conflict(
            "key.external",
            format!("{id} only verifies here: its private half is elsewhere"),
        )),
    }
}
