//! Probe signatures, as `attest test-sign` makes them: of a nonce of our own,
//! under a payload type that no verifier of statements accepts.

use std::sync::Arc;

use stella_core::api::attestations::TestSigned;
use stella_core::id::KeyId;
use stella_core::trust::KeyRecord;
use tokio::task::JoinSet;

use crate::app::{App, Error, Result};

pub struct Probed {
    pub key: KeyId,
    pub profile: String,
    pub signed: Result<TestSigned>,
}

/// With each of these keys in that store of it, side by side; the answers in
/// their order.
pub async fn all(app: &Arc<App>, keys: Vec<(KeyRecord, String)>) -> Vec<Probed> {
    let mut running = JoinSet::new();
    for (place, (key, store)) in keys.into_iter().enumerate() {
        let app = Arc::clone(app);
        running.spawn(async move {
            let probed = Probed {
                signed: app.probe_key(&key, &store).await,
                profile: key.profile().map(ToString::to_string).unwrap_or_default(),
                key: key.id,
            };
            (place, probed)
        });
    }
    let mut probed = Vec::new();
    while let Some(done) = running.join_next().await {
        // A task that broke off would have brought its panic here.
        probed.extend(done.ok());
    }
    probed.sort_by_key(|(place, _)| *place);
    probed.into_iter().map(|(_, probed)| probed).collect()
}

/// `profile fips: fips-a signed and verified in 0.8 ms (hsm://..., CKM_ECDSA)`.
pub fn describe(signed: &TestSigned) -> String {
    let slot = signed
        .slot
        .as_ref()
        .map(|slot| format!(", {slot}"))
        .unwrap_or_default();
    format!(
        "profile {}: {} signed and verified in {:.1} ms ({}, {}{slot})",
        signed.profile, signed.key_id, signed.milliseconds, signed.store, signed.mechanism
    )
}

/// Why a key does not sign, most likely.
pub fn cause(error: &Error) -> String {
    if !error.causes.is_empty() {
        return error.causes.join(": ");
    }
    let code = error.code.as_str();
    match code.rsplit_once('.').map_or(code, |(_, last)| last) {
        "timed-out" => "the key store hangs, or what is behind it",
        "unauthenticated" => "the PIN or the credentials changed, or the token is locked",
        "key-missing" => "the key is no longer in its store, or more than one fits",
        "does-not-verify" => "the key store holds another key, or its signatures are corrupted on the way",
        "refused" | "message-too-large" => "the key store does not sign with this key or algorithm",
        "no-sealing-key" => "sealing.key was moved or is not mounted",
        "unsupported" => "this build was made without that key store",
        _ => "the key store, or the way to it, is down",
    }
    .to_owned()
}
