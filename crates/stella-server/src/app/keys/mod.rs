//! Keys: one file a use case.

pub(crate) mod activate;
mod generate;
pub(in crate::app) mod impact;
mod import;
pub(in crate::app) mod judged;
mod list;
mod retire;
pub(crate) mod revoke;
mod rotation;
mod stores;
mod validity;
mod verify;

pub use list::KeyFilter;

pub use impact::ImpactQuery;

use stella_core::alg::PublicKey;
use stella_core::api::keys::Key;
use stella_core::id::KeyId;
use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, TrustState};

use crate::app::App;
use crate::app::error::{Error, Result};

/// A key as the API shows it.
pub fn view(key: &KeyRecord, state: &TrustState, now: Timestamp) -> Key {
    let own = key.own();
    let mut notes = Vec::new();
    if own.is_some_and(|o| o.store.starts_with("software")) {
        notes.push("held in software: not a validated module".to_owned());
    }
    let algorithm = key.public_key.algorithm();
    if algorithm.scheme().unaudited() {
        notes.push(format!(
            "unaudited: this build's {algorithm} has had no independent examination"
        ));
    }
    if key.has_expired(now) {
        notes.push("past the age its profile allows: signs nothing new".to_owned());
    }
    Key {
        id: key.id.to_string(),
        profile: own.map(|o| o.profile.to_string()),
        key_type: key.key_type.to_string(),
        algorithm: algorithm.to_string(),
        status: key.state(now).to_string(),
        key_store: own.map(|o| o.store.clone()),
        further_stores: own.map(|o| o.further_stores.clone()).unwrap_or_default(),
        public_key: key.public_key.to_pem(),
        fingerprint: key.public_key.fingerprint().to_hex(),
        created_at: key.created_at.map(|t| t.to_string()),
        not_after: own.and_then(|o| o.not_after).map(|t| t.to_string()),
        revoked_at: key.end.as_ref().map(|e| e.effective_at.to_string()),
        revoke_reason: key.end.as_ref().map(|e| e.reason.to_string()),
        compromised_since: key
            .end
            .as_ref()
            .and_then(|e| e.compromised_since)
            .map(|t| t.to_string()),
        anchors: state.anchors_holding(&key.id).map(|a| a.id.to_string()).collect(),
        notes,
    }
}

impl App {
    fn view_key(&self, state: &TrustState, id: &KeyId) -> Result<Key> {
        Ok(view(known(state, id)?, state, self.not_before(state)))
    }
}

pub(crate) fn known<'a>(state: &'a TrustState, id: &KeyId) -> Result<&'a KeyRecord> {
    state
        .keys
        .get(id)
        .ok_or_else(|| Error::not_found("key.unknown", format!("no key named {id}")).next("stella keys list"))
}

/// PEM, or base64 of DER. Empty text counts as none.
pub(crate) fn public_key(text: Option<&str>) -> Result<Option<PublicKey>> {
    let Some(text) = text.map(str::trim).filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let key = if text.contains("-----BEGIN") {
        PublicKey::from_pem(text)
    } else {
        PublicKey::from_base64(text)
    };
    key.map(Some).map_err(|e| Error::invalid(e.code(), e))
}

/// The command that states since when a compromised key is not to be believed.
fn state_since(id: &KeyId) -> String {
    format!(
        "stella anchor revoke-key --anchor-id ALL --key-id {id} --reason compromise --compromised-since TIME"
    )
}
