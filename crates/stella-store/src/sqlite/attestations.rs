//! Attestations: recorded, then signed, then never changed.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use stella_core::digest::Sha256;
use stella_core::id::AttestationId;

use super::ledger::{self, Entered};
use super::row::{Columns, execute, first, integer, json_text, text};
use super::writer::Commit;
use super::{SqliteStore, attestation_rows as rows, events};
use crate::{
    Attempt, AttestationFilter, AttestationRow, AttestationState, AttestationStore, IdempotencyRow, Inserted,
    LedgerEntry, LedgerKey, NewAttestation, Outcome, Result, Signed, StoreError,
};

#[async_trait]
impl AttestationStore for SqliteStore {
    async fn insert_attestation(&self, new: Arc<NewAttestation>) -> Result<Inserted> {
        let in_envelope = new.outcome.signed().is_some_and(|signed| {
            rows::payload_of(&signed.envelope).is_ok_and(|payload| payload == new.payload)
        });
        self.writer
            .write(move |commit| insert(commit, &new, in_envelope))
            .await
    }

    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRow>> {
        self.readers.read(move |conn| rows::by_id(conn, id)).await
    }

    async fn attestations_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<AttestationId>> {
        let prefix = prefix.to_ascii_lowercase();
        self.readers
            .read(move |conn| rows::ids_by_prefix(conn, &prefix, limit))
            .await
    }

    async fn attestations_by_pae(&self, pae: &Sha256) -> Result<Vec<AttestationRow>> {
        let pae = *pae;
        self.readers.read(move |conn| rows::by_pae(conn, &pae)).await
    }

    async fn attestations_by_digest(
        &self,
        algorithm: &str,
        hex: &str,
        limit: usize,
    ) -> Result<Vec<AttestationRow>> {
        let (algorithm, hex) = (algorithm.to_owned(), hex.to_owned());
        self.readers
            .read(move |conn| rows::by_digest(conn, &algorithm, &hex, limit))
            .await
    }

    async fn list_attestations(&self, filter: AttestationFilter) -> Result<Vec<AttestationRow>> {
        self.readers.read(move |conn| rows::list(conn, &filter)).await
    }

    async fn last_attestation_by(&self, identity: &str) -> Result<Option<AttestationRow>> {
        let filter = AttestationFilter {
            identity: Some(identity.to_owned()),
            limit: 1,
            ..AttestationFilter::default()
        };
        let found = self.readers.read(move |conn| rows::list(conn, &filter)).await?;
        Ok(found.into_iter().next())
    }

    async fn ledger(&self, signatures: &[LedgerKey]) -> Result<Vec<Option<LedgerEntry>>> {
        let signatures = signatures.to_vec();
        self.readers
            .read(move |conn| signatures.iter().map(|key| ledger::entry(conn, key)).collect())
            .await
    }

    async fn idempotent(&self, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
        let (identity, key) = (identity.to_owned(), key.to_owned());
        self.readers
            .read(move |conn| idempotent(conn, &identity, &key))
            .await
    }
}

/// A payload that the envelope holds as it is, is not stored beside it.
fn insert(commit: &mut Commit<'_>, new: &NewAttestation, in_envelope: bool) -> Result<Inserted> {
    if let Some(asked) = &new.idempotency
        && let Some(earlier) = idempotent(commit.conn, &asked.identity, &asked.key)?
    {
        return Ok(Inserted::Repeated(earlier));
    }
    if new.first && rows::has_pae(commit.conn, &new.pae)? {
        return Ok(Inserted::Known);
    }
    if let Some(expected) = new.expected_head
        && commit.head()? != expected
    {
        return Ok(Inserted::HeadMoved);
    }
    if let Outcome::Signed(signed) = &new.outcome {
        match moved(commit, signed)? {
            Moved::Nothing => {}
            Moved::Key => return Ok(Inserted::KeyMoved),
            Moved::Head => return Ok(Inserted::HeadMoved),
        }
    }
    let entry = insert_row(commit.conn, new, in_envelope)?;
    insert_subjects(commit.conn, entry, new)?;
    if let Outcome::Signed(signed) = &new.outcome {
        let (id, first) = (new.id, new.first);
        enter(commit, &Entered { id, entry, first }, signed)?;
    }
    if let Some(idempotency) = &new.idempotency {
        insert_idempotency(commit.conn, idempotency)?;
    }
    Ok(Inserted::Done)
}

/// The number that it gets.
fn insert_row(conn: &Connection, new: &NewAttestation, in_envelope: bool) -> Result<i64> {
    let (state, signed, attempt, next_at) = match &new.outcome {
        Outcome::Signed(signed) => (AttestationState::Signed, Some(signed), None, None),
        Outcome::Recorded(attempt) => (unsigned(attempt)?, None, Some(attempt), attempt.next_at),
        Outcome::Queued { next_at } => (AttestationState::Recorded, None, None, *next_at),
    };
    let requested = &new.requested;
    let values: [&dyn rusqlite::ToSql; 21] = [
        &new.id.to_string(),
        new.pae.as_bytes(),
        &new.pae.start(),
        &new.payload_type,
        &(!in_envelope).then_some(new.payload.as_slice()),
        &new.predicate_type,
        &new.profile.as_ref().map(|p| p.as_str()),
        &state.as_str(),
        &requested.identity,
        &requested.token.map(|id| id.to_string()),
        &json_text(&*requested.authority)?,
        &new.created_at.fixed_width(),
        &signed.map(|s| s.envelope.as_slice()),
        &signed.and_then(|s| s.by.as_ref()).map(|by| by.key_id.as_str()),
        &text(signed.map(|s| s.recorded_at)),
        &u32::from(attempt.is_some()),
        &attempt.map(|a| a.error.as_str()),
        &text(attempt.map(|a| a.at)),
        &text(next_at),
        &new.supersedes.map(|id| id.to_string()),
        &new.imported,
    ];
    execute(
        conn,
        "INSERT OR FAIL INTO signer.attestations
         (id, pae, pae_start, payload_type, payload, predicate_type, profile, state,
          requested_by, requested_token, requested_authority, created_at,
          envelope, key_id, signed_at,
          attempts, last_error, last_attempt_at, next_attempt_at, supersedes, imported)
         VALUES
         (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        &values[..],
    )?;
    Ok(conn.last_insert_rowid())
}

fn insert_subjects(conn: &Connection, entry: i64, new: &NewAttestation) -> Result<()> {
    for (position, subject) in new.subjects.iter().enumerate() {
        for (algorithm, digest) in subject.digest.all() {
            execute(
                conn,
                "INSERT OR FAIL INTO signer.subjects
                 (attestation, position, name, algorithm, digest, digest_end)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    entry,
                    integer(position),
                    &subject.name,
                    algorithm,
                    digest,
                    rows::end_of(digest),
                ),
            )?;
        }
    }
    Ok(())
}

/// What goes with every new signature.
pub(super) fn enter(commit: &mut Commit<'_>, of: &Entered, signed: &Signed) -> Result<()> {
    ledger::enter(commit, of, signed)?;
    match &signed.events {
        Some(append) => events::write(commit, append),
        None => Ok(()),
    }
}

/// What changed since the signature was decided on.
pub(super) enum Moved {
    Nothing,
    Key,
    Head,
}

pub(super) fn moved(commit: &mut Commit<'_>, signed: &Signed) -> Result<Moved> {
    // Any event about a key since it was chosen may have ended its right to sign.
    if let Some(by) = &signed.by
        && commit.key_version(&by.key_id)? != Some(by.key_version)
    {
        return Ok(Moved::Key);
    }
    match &signed.events {
        Some(append) if commit.head()? != append.expected_head => Ok(Moved::Head),
        _ => Ok(Moved::Nothing),
    }
}

pub(super) fn unsigned(attempt: &Attempt) -> Result<AttestationState> {
    match attempt.state {
        AttestationState::Signed => Err(StoreError::Corrupt(
            "a failed attempt cannot leave an attestation signed".into(),
        )),
        state => Ok(state),
    }
}

fn insert_idempotency(conn: &Connection, row: &IdempotencyRow) -> Result<()> {
    execute(
        conn,
        "INSERT INTO signer.idempotency (identity, key, request, attestations, at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            &row.identity,
            &row.key,
            row.request.as_bytes(),
            json_text(&row.attestations)?,
            row.at.fixed_width(),
        ),
    )?;
    Ok(())
}

fn idempotent(conn: &Connection, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
    let sql = "SELECT * FROM signer.idempotency WHERE identity = ?1 AND key = ?2";
    first(conn, sql, [identity, key], |row| {
        Ok(IdempotencyRow {
            identity: row.get("identity")?,
            key: row.get("key")?,
            request: row.digest("request")?,
            attestations: serde_json::from_value(row.json("attestations")?)
                .map_err(|e| StoreError::Corrupt(format!("attestations: {e}")))?,
            at: row.parsed("at")?,
        })
    })
}
