//! What offline verifiers take with them: the trust bundle and the root that
//! names its keys. Both are signed by every feed key that may sign, so that a
//! verifier who pins an older root accepts them as long as one of its keys
//! is among them.

mod bundle;
mod root;

use std::sync::Arc;

use stella_core::bundle::trust::InstanceId;
use stella_core::dsse::{self, Envelope, EnvelopeSignature};
use stella_core::time::Timestamp;
use stella_core::trust::decide::Refusal;
use stella_core::trust::{KeyRecord, KeyType, TrustState};
use stella_keys::Sign;

use crate::app::App;
use crate::app::error::{Error, Result};

/// A feed key, opened.
struct Signer {
    key: KeyRecord,
    sign: Arc<dyn Sign>,
}

impl App {
    /// Every feed key that may sign, opened before anything is recorded.
    async fn feed_signers(&self, state: &TrustState) -> Result<Vec<Signer>> {
        let mut signers = Vec::new();
        for key in feed_keys(state, self.not_before(state))? {
            let sign = self.signer(key).await?;
            signers.push(Signer {
                key: key.clone(),
                sign,
            });
        }
        Ok(signers)
    }

    async fn sign_for_feed(
        &self,
        payload_type: &str,
        payload: Vec<u8>,
        signers: &[Signer],
    ) -> Result<Vec<u8>> {
        let pae = dsse::pae(payload_type, &payload);
        let mut signatures = Vec::with_capacity(signers.len());
        for signer in signers {
            let signature = self
                .sign_within_deadline(Arc::clone(&signer.sign), pae.clone())
                .await
                .map_err(|e| {
                    let message = format!("signing failed: {}: {e}", signer.key.id);
                    Error::unavailable(e.code(), message)
                        .next(format!("stella attest test-sign --key-id {}", signer.key.id))
                })?;
            signatures.push(EnvelopeSignature {
                keyid: Some(signer.key.id.to_string()),
                sig: signature.as_bytes().to_vec(),
            });
        }
        let envelope = Envelope {
            payload_type: payload_type.to_owned(),
            payload,
            signatures,
        };
        Ok(envelope.to_json())
    }

    /// The id of the first event.
    async fn instance_id(&self) -> Result<InstanceId> {
        let first = self.store.events_after(0, 1).await?;
        first
            .first()
            .map(|event| InstanceId(event.id.0))
            .ok_or_else(|| Error::internal("a feed key without any event"))
    }
}

/// The feed keys that may sign now; never none.
fn feed_keys(state: &TrustState, now: Timestamp) -> std::result::Result<Vec<&KeyRecord>, Refusal> {
    let keys: Vec<_> = state.active_feed_keys(now).filter(|k| k.may_sign(now)).collect();
    let had_one = state.keys.values().any(|k| k.key_type == KeyType::Feed);
    if keys.is_empty() && had_one {
        return Err(Refusal::conflict(
            "trust.feed-keys-ended",
            "no feed key may sign any more: each has expired, was retired or revoked",
        )
        .next("stella keys generate --type feed && stella trust root --out root.json; then bring that root to each verifier, over a channel you trust"));
    }
    if keys.is_empty() {
        return Err(Refusal::not_found(
            "trust.no-feed-key",
            "there is no feed key to sign trust bundles and roots with",
        )
        .next("stella keys generate --type feed"));
    }
    Ok(keys)
}

/// What was made must open as a verifier opens it, or it is not given out.
fn unusable(what: &str, why: impl std::fmt::Display) -> Error {
    Error::internal(format!("the {what} just made is not accepted: {why}"))
}

fn text(document: Vec<u8>) -> Result<String> {
    String::from_utf8(document).map_err(|_| Error::internal("a document that is not UTF-8"))
}
