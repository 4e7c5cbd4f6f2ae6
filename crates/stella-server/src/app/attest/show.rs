//! `attest show`: the details, the exact envelope, the bundle.

use base64::Engine as _;
use serde_json::{Value, json};
use stella_core::api::attestations::{AttestationDetails, SignatureDetail};
use stella_core::bundle;
use stella_core::dsse::Envelope;
use stella_core::evidence::Ledger;
use stella_core::id::KeyId;
use stella_store::{AttestationRow, STORED_ENVELOPE};

use super::view;
use crate::app::App;
use crate::app::error::{Error, Result};

impl App {
    pub async fn show_attestation(&self, id: &str) -> Result<AttestationDetails> {
        let row = self.find_attestation(id).await?;
        let trust = self.trust_head().await?;
        let question = self.question_now(std::sync::Arc::clone(&trust));
        let known = self
            .known_signatures(&question, [row.pae])
            .await?
            .remove(&row.pae);
        let own = match &row.signed {
            Some(signed) => Envelope::parse(&signed.envelope, &STORED_ENVELOPE)
                .map(|e| e.signatures)
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let signatures: Vec<SignatureDetail> = known
            .unwrap_or_default()
            .into_iter()
            .filter(|k| own.iter().any(|s| s.sig == k.sig && s.keyid == k.keyid))
            .map(|k| SignatureDetail {
                keyid: k.keyid,
                signature: base64::engine::general_purpose::STANDARD.encode(&k.sig),
                ledger: match k.ledger {
                    Ledger::Signed { .. } => "signed-here".to_owned(),
                    Ledger::Unknown | Ledger::NotConsulted => "unknown".to_owned(),
                },
                signed_at: match k.ledger {
                    Ledger::Signed { at } => Some(at.to_string()),
                    Ledger::Unknown | Ledger::NotConsulted => None,
                },
                recorded_at: k.recorded_at.map(|t| t.to_string()).unwrap_or_default(),
            })
            .collect();
        let siblings = self.store.attestations_by_pae(&row.pae).await?;
        let mut attestation = view(&row, &trust);
        if attestation.algorithm.is_none() {
            attestation.algorithm = signatures
                .iter()
                .filter_map(|s| s.keyid.as_deref()?.parse::<KeyId>().ok())
                .find_map(|id| trust.keys.get(&id))
                .map(|k| k.public_key.algorithm().to_string());
        }
        Ok(AttestationDetails {
            attestation,
            token_id: row.requested.token.map(|t| t.to_string()),
            authority: Value::clone(&row.requested.authority),
            statement: statement(&row),
            signatures,
            siblings: siblings
                .iter()
                .filter(|s| s.id != row.id)
                .map(|s| s.id.to_string())
                .collect(),
        })
    }

    /// The exact stored bytes.
    pub async fn attestation_envelope(&self, id: &str) -> Result<Vec<u8>> {
        let row = self.find_attestation(id).await?;
        row.signed.map(|s| s.envelope).ok_or_else(|| {
            let reason = row.attempts.last_error.unwrap_or_default();
            Error::conflict(
                "attestation.unsigned",
                format!("{} is recorded but not signed yet: {reason}", row.id),
            )
            .next("stella attest retry --failed")
        })
    }

    /// A Sigstore bundle v0.3 around the same bytes.
    pub async fn attestation_bundle(&self, id: &str) -> Result<Vec<u8>> {
        let envelope = self.attestation_envelope(id).await?;
        bundle::build(&envelope, &STORED_ENVELOPE).map_err(|e| {
            Error::conflict(e.code(), e.to_string()).next(format!("stella attest show {id} --envelope"))
        })
    }
}

/// As JSON where it is JSON; its own bytes are in the envelope.
fn statement(row: &AttestationRow) -> Value {
    serde_json::from_slice(&row.payload)
        .unwrap_or_else(|_| json!({ "unreadable": "stella attest integrity-check tells more" }))
}
