//! Attestations: one file a use case.

mod create;
mod drain;
mod import;
mod integrity;
mod list;
mod resign;
mod retry;
mod show;
mod sign;
mod statement;
mod test_sign;
mod withdraw;

pub(in crate::app) use drain::Drain;

pub use create::{CreateOptions, Wait};
pub use list::AttestationQuery;
pub(in crate::app) use list::cursor;
pub(in crate::app) use statement::Draft;
pub(crate) use statement::read_subject;
pub(in crate::app) use test_sign::PROBE_PAYLOAD_TYPE;

use stella_core::api::attestations::{Attestation, SubjectInput, Withdrawn};
use stella_core::id::AttestationId;
use stella_core::predicate::PredicateType;
use stella_core::statement::Subject;
use stella_core::trust::{KeyRecord, TrustState};
use stella_store::{AttestationRow, AttestationState};

use crate::app::error::{Error, Result};
use crate::app::{App, Caller, signers};

impl App {
    /// By a whole id, or a prefix that only one has; `0192f3a0...` is one.
    pub(crate) async fn find_attestation(&self, text: &str) -> Result<AttestationRow> {
        let prefix = text
            .trim()
            .trim_end_matches("...")
            .trim_end_matches('…')
            .to_ascii_lowercase();
        let unknown = || {
            let shown: String = text.chars().take(64).collect();
            Error::not_found("attestation.unknown", format!("no attestation {shown}"))
                .next("stella attest list")
        };
        let id = match prefix.parse::<AttestationId>() {
            Ok(id) => id,
            Err(_) => {
                let plain = prefix.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
                if prefix.len() < MIN_PREFIX || !plain {
                    return Err(unknown());
                }
                match self.store.attestations_by_prefix(&prefix, 2).await?.as_slice() {
                    [one] => *one,
                    [] => return Err(unknown()),
                    _ => {
                        return Err(Error::invalid(
                            "attestation.ambiguous",
                            format!("more than one attestation begins with {prefix}"),
                        )
                        .next("stella attest list"));
                    }
                }
            }
        };
        self.store.attestation(id).await?.ok_or_else(unknown)
    }

    pub(crate) async fn last_row(&self, caller: &Caller) -> Result<AttestationRow> {
        self.store
            .last_attestation_by(&caller.identity)
            .await?
            .ok_or_else(|| {
                Error::not_found(
                    "attestation.unknown",
                    format!("{} has not had anything attested yet", caller.identity),
                )
                .next("stella attest create --type TYPE --subject SUBJECT")
            })
    }
}

/// Shorter ones would name half the store.
const MIN_PREFIX: usize = 4;

/// An attestation as the API shows it.
pub(crate) fn view(row: &AttestationRow, trust: &TrustState) -> Attestation {
    let key = row
        .signed
        .as_ref()
        .and_then(|s| s.key_id.as_ref())
        .and_then(|id| trust.keys.get(id));
    let superseded_by = trust
        .superseded
        .get(&row.pae)
        .filter(|s| row.id < s.successor)
        .map(|s| s.successor.to_string());
    Attestation {
        id: row.id.to_string(),
        state: row.state.as_str().to_owned(),
        pae_digest: row.pae.to_hex(),
        predicate_type: PredicateType::from_wire(&row.predicate_type).short().into_owned(),
        subjects: row.subjects.iter().map(subject).collect(),
        profile: row.profile.as_ref().map(ToString::to_string),
        key_id: row
            .signed
            .as_ref()
            .and_then(|s| s.key_id.as_ref())
            .map(ToString::to_string),
        signed_by_standby: stood_in(row, trust),
        signed_in: key
            .and_then(KeyRecord::own)
            .map(|own| signers::scheme(&own.store).to_owned()),
        algorithm: key.map(|k| k.public_key.algorithm().to_string()),
        requested_by: row.requested.identity.clone(),
        created_at: row.created_at.to_string(),
        signed_at: row
            .signed
            .as_ref()
            .filter(|_| !row.imported)
            .map(|s| s.recorded_at.to_string()),
        imported: row.imported,
        supersedes: row.supersedes.map(|id| id.to_string()),
        superseded_by,
        withdrawn: trust.withdrawn.get(&row.pae).map(|w| Withdrawn {
            at: w.at.to_string(),
            by: w.actor.clone(),
            reason: w.reason.to_string(),
            note: w.note.clone(),
        }),
        attempts: row.attempts.count,
        last_error: row
            .attempts
            .last_error
            .clone()
            .filter(|_| row.state != AttestationState::Signed),
        next_attempt_at: row
            .attempts
            .next_at
            .filter(|_| row.state == AttestationState::Recorded)
            .map(|t| t.to_string()),
        repeated: false,
        would_verify: None,
        warnings: Vec::new(),
        next: None,
    }
}

/// Whether the key that signed it here was standing by at that moment.
pub(super) fn stood_in(row: &AttestationRow, trust: &TrustState) -> bool {
    row.signed.as_ref().is_some_and(|signed| {
        let key = signed.key_id.as_ref();
        key.is_some_and(|key| trust.stood_by(key, signed.recorded_at))
    })
}

pub(crate) fn subject(subject: &Subject) -> SubjectInput {
    SubjectInput {
        name: subject.name.clone(),
        digest: subject.digest.all().clone(),
    }
}
