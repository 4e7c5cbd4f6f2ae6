//! `attest integrity-check`: the stored bytes against every digest of them.

use stella_core::api::attestations::{Integrity, IntegrityCheck};
use stella_core::digest::Sha256;
use stella_core::dsse::{self, Envelope};
use stella_core::id::KeyId;
use stella_core::statement::Statement;
use stella_core::trust::TrustState;
use stella_store::{AttestationRow, LedgerKey, STORED_ENVELOPE, STORED_STATEMENT, subjects_of};

use crate::app::App;
use crate::app::error::Result;

impl App {
    pub async fn check_integrity(&self, id: &str) -> Result<Integrity> {
        let row = self.find_attestation(id).await?;
        let trust = self.trust_head().await?;
        let mut checks = vec![payload_check(&row), statement_check(&row)];
        if let Some(signed) = &row.signed {
            match Envelope::parse(&signed.envelope, &STORED_ENVELOPE) {
                Ok(envelope) => {
                    checks.push(check(
                        "envelope",
                        true,
                        format!("{} bytes read", signed.envelope.len()),
                    ));
                    checks.extend(same_statement(&row, &envelope));
                    checks.extend(signature_checks(&trust, &envelope));
                    if !row.imported {
                        checks.push(self.ledger_check(&trust, &row, &envelope).await?);
                    }
                }
                Err(e) => checks.push(check("envelope", false, format!("invalid attestation: {e}"))),
            }
        } else {
            checks.push(check(
                "envelope",
                true,
                "not signed yet, so there is none".to_owned(),
            ));
        }
        let intact = checks.iter().all(|c| c.ok);
        Ok(Integrity {
            id: row.id.to_string(),
            intact,
            checks,
            next: (!intact).then(|| {
                "stella db verify, then stella attest create --subject SUBJECT --type TYPE --force".to_owned()
            }),
        })
    }

    async fn ledger_check(
        &self,
        trust: &TrustState,
        row: &AttestationRow,
        envelope: &Envelope,
    ) -> Result<IntegrityCheck> {
        let key = row
            .signed
            .as_ref()
            .and_then(|s| s.key_id.as_ref())
            .and_then(|id| trust.keys.get(id));
        let (Some(key), Some(signature)) = (key, envelope.signatures.first()) else {
            return Ok(check(
                "ledger",
                false,
                "the key that signed is not known".to_owned(),
            ));
        };
        let asked = LedgerKey {
            pae: row.pae,
            spki: key.public_key.fingerprint(),
            signature: Sha256::of(&signature.sig),
        };
        let entry = self.store.ledger(&[asked]).await?.into_iter().next().flatten();
        Ok(match entry {
            Some(e) => check(
                "ledger",
                true,
                format!("signed here {}, asked for by {}", e.signed_at, e.requested_by),
            ),
            None => check(
                "ledger",
                false,
                "this server's ledger holds no such signature".to_owned(),
            ),
        })
    }
}

fn payload_check(row: &AttestationRow) -> IntegrityCheck {
    let found = dsse::pae_digest(&row.payload_type, &row.payload);
    check(
        "payload",
        found == row.pae,
        format!("stored as {}, digest {found}", row.pae),
    )
}

fn statement_check(row: &AttestationRow) -> IntegrityCheck {
    match Statement::parse(&row.payload, &STORED_STATEMENT) {
        Ok(statement) => {
            let agrees =
                statement.predicate_type() == row.predicate_type && subjects_of(&statement) == row.subjects;
            let detail = format!(
                "{} subjects, {}",
                statement.subjects().len(),
                statement.predicate_type()
            );
            check("statement", agrees, detail)
        }
        Err(e) => check("statement", false, format!("invalid attestation: {e}")),
    }
}

fn same_statement(row: &AttestationRow, envelope: &Envelope) -> [IntegrityCheck; 2] {
    let digest = envelope.pae_digest();
    [
        check("pae", digest == row.pae, format!("SHA-256 {digest}")),
        check(
            "envelope-payload",
            envelope.payload == row.payload && envelope.payload_type == row.payload_type,
            format!("{} bytes", envelope.payload.len()),
        ),
    ]
}

fn signature_checks(trust: &TrustState, envelope: &Envelope) -> Vec<IntegrityCheck> {
    let pae = envelope.pae();
    envelope
        .signatures
        .iter()
        .map(|s| {
            let key = s
                .keyid
                .as_deref()
                .and_then(|id| id.parse::<KeyId>().ok())
                .and_then(|id| trust.keys.get(&id));
            match key {
                Some(key) if key.public_key.verify(&pae, &s.sig).is_ok() => check(
                    "signature",
                    true,
                    format!("{} by {}", key.public_key.algorithm(), key.id),
                ),
                Some(key) => check(
                    "signature",
                    false,
                    format!(
                        "signature verification failed: not made by {} over these bytes",
                        key.id
                    ),
                ),
                None => check(
                    "signature",
                    true,
                    "its key is not known here, so it was not checked".to_owned(),
                ),
            }
        })
        .collect()
}

fn check(name: &str, ok: bool, detail: String) -> IntegrityCheck {
    IntegrityCheck {
        name: name.to_owned(),
        ok,
        detail,
    }
}
