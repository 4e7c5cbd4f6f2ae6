//! Attestations: recorded, then signed, then never changed.

use std::sync::Arc;

use async_trait::async_trait;
use stella_core::digest::Sha256;
use stella_core::id::AttestationId;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::conn::Conn;
use super::row::{At, Columns, integer, json};
use super::writer::Commit;
use super::{PostgresStore, attestation_rows as rows, events, ledger};
use crate::{
    Attempt, AttestationFilter, AttestationRow, AttestationState, AttestationStore, IdempotencyRow, Inserted,
    LedgerEntry, LedgerKey, NewAttestation, Outcome, Result, Signed, SignedHere, StoreError,
};

#[async_trait]
impl AttestationStore for PostgresStore {
    async fn insert_attestation(&self, new: Arc<NewAttestation>) -> Result<Inserted> {
        self.writer.insert(new).await
    }

    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRow>> {
        let conn = self.readers.reader().await?;
        rows::by_id(&conn, id).await
    }

    async fn attestations_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<AttestationId>> {
        let conn = self.readers.reader().await?;
        rows::ids_by_prefix(&conn, &prefix.to_ascii_lowercase(), limit).await
    }

    async fn attestations_by_pae(&self, pae: &Sha256) -> Result<Vec<AttestationRow>> {
        let conn = self.readers.reader().await?;
        rows::by_pae(&conn, pae).await
    }

    async fn attestations_by_digest(
        &self,
        algorithm: &str,
        hex: &str,
        limit: usize,
    ) -> Result<Vec<AttestationRow>> {
        let conn = self.readers.reader().await?;
        rows::by_digest(&conn, algorithm, hex, limit).await
    }

    async fn list_attestations(&self, filter: AttestationFilter) -> Result<Vec<AttestationRow>> {
        let conn = self.readers.reader().await?;
        rows::list(&conn, &filter).await
    }

    async fn last_attestation_by(&self, identity: &str) -> Result<Option<AttestationRow>> {
        let filter = AttestationFilter {
            identity: Some(identity.to_owned()),
            limit: 1,
            ..AttestationFilter::default()
        };
        Ok(self.list_attestations(filter).await?.into_iter().next())
    }

    async fn ledger(&self, signatures: &[LedgerKey]) -> Result<Vec<Option<LedgerEntry>>> {
        let conn = self.readers.reader().await?;
        let mut found = Vec::with_capacity(signatures.len());
        for key in signatures {
            found.push(ledger::entry(&conn, key).await?);
        }
        Ok(found)
    }

    async fn idempotent(&self, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
        let conn = self.readers.reader().await?;
        idempotent(&conn, identity, key).await
    }
}

/// What has to be known is asked together, and what is written is sent
/// together: a round trip for each statement would cost more than they do.
pub(super) async fn insert(commit: &mut Commit, new: &NewAttestation) -> Result<Inserted> {
    let conn = &commit.conn;
    let signed = new.outcome.signed();
    let earlier = async {
        match &new.idempotency {
            Some(asked) => idempotent(conn, &asked.identity, &asked.key).await,
            None => Ok(None),
        }
    };
    let known = async { Ok::<_, StoreError>(new.first && rows::has_pae(conn, &new.pae).await?) };
    let head_moved = async {
        match new.expected_head {
            Some(expected) => Ok(events::head(conn).await? != expected),
            None => Ok(false),
        }
    };
    let moved = async {
        match signed {
            Some(signed) => moved(conn, signed).await,
            None => Ok(Moved::Nothing),
        }
    };
    let number = async {
        match signed {
            Some(signed) => ledger::next_for(conn, signed).await,
            None => Ok(None),
        }
    };
    let (earlier, known, head_moved, moved, number) =
        tokio::try_join!(earlier, known, head_moved, moved, number)?;
    if let Some(earlier) = earlier {
        return Ok(Inserted::Repeated(earlier));
    }
    match moved {
        _ if known => return Ok(Inserted::Known),
        _ if head_moved => return Ok(Inserted::HeadMoved),
        Moved::Key => return Ok(Inserted::KeyMoved),
        Moved::Head => return Ok(Inserted::HeadMoved),
        Moved::Nothing => {}
    }
    let entering = match signed {
        Some(signed) => ledger::Entering::new(number, new.id, signed)?,
        None => None,
    };
    store(conn, &[new], entering.as_slice(), async { Ok(()) }).await?;
    if let Some(entering) = entering {
        entering.chain(commit);
    }
    if let Some(append) = signed.and_then(|signed| signed.events.as_ref()) {
        events::write(commit, append).await?;
    }
    Ok(Inserted::Done)
}

/// Rows of as many as there are, and what else there is to write, in one round
/// trip.
pub(super) async fn store(
    conn: &Conn,
    new: &[&NewAttestation],
    entering: &[ledger::Entering<'_>],
    more: impl Future<Output = Result<()>>,
) -> Result<()> {
    let row = conn.prepare(INSERT_ROWS).await?;
    let subjects = conn.prepare(INSERT_SUBJECTS).await?;
    let entry = conn.prepare(ledger::INSERT).await?;
    let key = conn.prepare(INSERT_IDEMPOTENCY).await?;
    // In this order: the others refer to the rows, and what follows a failure
    // fails for that alone.
    tokio::try_join!(
        biased;
        insert_rows(conn, &row, new),
        insert_subjects(conn, &subjects, new),
        ledger::insert(conn, &entry, entering),
        insert_idempotency(conn, &key, new),
        more,
    )?;
    Ok(())
}

const INSERT_ROWS: &str = "INSERT INTO signer.attestations
               (id, pae, payload_type, payload, predicate_type, profile, state,
                requested_by, requested_token, requested_authority, created_at,
                envelope, key_id, signed_at,
                attempts, last_error, last_attempt_at, next_attempt_at, supersedes, imported)
               SELECT * FROM unnest(
                $1::uuid[], $2::bytea[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::uuid[], $10::json[], $11::timestamptz[],
                $12::bytea[], $13::text[], $14::timestamptz[],
                $15::bigint[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::uuid[], $20::boolean[])";

const INSERT_SUBJECTS: &str =
    "INSERT INTO signer.attestation_subjects (attestation_id, position, name, algorithm, digest)
               SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[])";

const INSERT_IDEMPOTENCY: &str = "INSERT INTO signer.idempotency (identity, key, request, attestations, at)
               SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::json[], $5::timestamptz[])";

async fn insert_rows(conn: &Conn, statement: &Statement, all: &[&NewAttestation]) -> Result<()> {
    let mut states = Vec::with_capacity(all.len());
    for new in all {
        states.push(match &new.outcome {
            Outcome::Signed(_) => AttestationState::Signed,
            Outcome::Recorded(attempt) => unsigned(attempt)?,
            Outcome::Queued { .. } => AttestationState::Recorded,
        });
    }
    fn attempt(new: &NewAttestation) -> Option<&Attempt> {
        match &new.outcome {
            Outcome::Recorded(attempt) => Some(attempt),
            _ => None,
        }
    }
    fn next_at(new: &NewAttestation) -> Option<At> {
        match &new.outcome {
            Outcome::Signed(_) => None,
            Outcome::Recorded(attempt) => attempt.next_at.map(At),
            Outcome::Queued { next_at } => next_at.map(At),
        }
    }
    fn column<'a, T>(all: &[&'a NewAttestation], of: impl Fn(&'a NewAttestation) -> T) -> Vec<T> {
        all.iter().map(|new| of(new)).collect()
    }
    let states: Vec<_> = states.iter().map(|state| state.as_str()).collect();
    let params: [&(dyn ToSql + Sync); 20] = [
        &column(all, |new| new.id.0),
        &column(all, |new| new.pae.as_bytes().as_slice()),
        &column(all, |new| new.payload_type.as_str()),
        &column(all, rows::payload_beside_envelope),
        &column(all, |new| new.predicate_type.as_str()),
        &column(all, |new| new.profile.as_ref().map(|p| p.as_str())),
        &states,
        &column(all, |new| new.requested.identity.as_str()),
        &column(all, |new| new.requested.token.map(|id| id.0)),
        &column(all, |new| &*new.requested.authority),
        &column(all, |new| At(new.created_at)),
        &column(all, |new| new.outcome.signed().map(|s| s.envelope.as_slice())),
        &column(all, |new| {
            new.outcome
                .signed()
                .and_then(|s| s.by.as_ref())
                .map(|by| by.key_id.as_str())
        }),
        &column(all, |new| new.outcome.signed().map(|s| At(s.recorded_at))),
        &column(all, |new| i64::from(attempt(new).is_some())),
        &column(all, |new| attempt(new).map(|a| a.error.as_str())),
        &column(all, |new| attempt(new).map(|a| At(a.at))),
        &column(all, next_at),
        &column(all, |new| new.supersedes.map(|id| id.0)),
        &column(all, |new| new.imported),
    ];
    conn.send(statement, &params).await.map(drop)
}

async fn insert_subjects(conn: &Conn, statement: &Statement, all: &[&NewAttestation]) -> Result<()> {
    let (mut ids, mut positions, mut names) = (vec![], vec![], vec![]);
    let (mut algorithms, mut digests) = (vec![], vec![]);
    for new in all {
        for (position, subject) in new.subjects.iter().enumerate() {
            for (algorithm, digest) in subject.digest.all() {
                ids.push(new.id.0);
                positions.push(integer(position));
                names.push(subject.name.as_deref());
                algorithms.push(algorithm);
                digests.push(digest);
            }
        }
    }
    let params: [&(dyn ToSql + Sync); 5] = [&ids, &positions, &names, &algorithms, &digests];
    conn.send(statement, &params).await.map(drop)
}

/// What goes with every new signature.
pub(super) async fn enter(commit: &mut Commit, id: AttestationId, signed: &Signed) -> Result<()> {
    ledger::enter(commit, id, signed).await?;
    match &signed.events {
        Some(append) => events::write(commit, append).await,
        None => Ok(()),
    }
}

/// What changed since the signature was decided on.
pub(super) enum Moved {
    Nothing,
    Key,
    Head,
}

pub(super) async fn moved(conn: &Conn, signed: &Signed) -> Result<Moved> {
    if let Some(by) = &signed.by
        && key_moved(conn, by).await?
    {
        return Ok(Moved::Key);
    }
    match &signed.events {
        Some(append) if events::head(conn).await? != append.expected_head => Ok(Moved::Head),
        _ => Ok(Moved::Nothing),
    }
}

/// Any event about a key since it was chosen may have ended its right to sign.
async fn key_moved(conn: &Conn, by: &SignedHere) -> Result<bool> {
    let sql = "SELECT version FROM signer.signing_keys WHERE key_id = $1";
    let row = conn.first(sql, &[&by.key_id.as_str()]).await?;
    let version = row.map(|row| row.count("version")).transpose()?;
    Ok(version != Some(by.key_version))
}

pub(super) fn unsigned(attempt: &Attempt) -> Result<AttestationState> {
    match attempt.state {
        AttestationState::Signed => Err(StoreError::Corrupt(
            "a failed attempt cannot leave an attestation signed".into(),
        )),
        state => Ok(state),
    }
}

async fn insert_idempotency(conn: &Conn, statement: &Statement, all: &[&NewAttestation]) -> Result<()> {
    let rows: Vec<_> = all.iter().filter_map(|new| new.idempotency.as_ref()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let attestations = rows.iter().map(|row| json(&row.attestations));
    let params: [&(dyn ToSql + Sync); 5] = [
        &rows.iter().map(|row| row.identity.as_str()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.request.as_bytes().as_slice())
            .collect::<Vec<_>>(),
        &attestations.collect::<Result<Vec<_>>>()?,
        &rows.iter().map(|row| At(row.at)).collect::<Vec<_>>(),
    ];
    conn.send(statement, &params).await.map(drop)
}

async fn idempotent(conn: &Conn, identity: &str, key: &str) -> Result<Option<IdempotencyRow>> {
    let sql = "SELECT * FROM signer.idempotency WHERE identity = $1 AND key = $2";
    let row = conn.first(sql, &[&identity, &key]).await?;
    row.as_ref().map(idempotency_of).transpose()
}

pub(super) fn idempotency_of(row: &Row) -> Result<IdempotencyRow> {
    Ok(IdempotencyRow {
        identity: row.column("identity")?,
        key: row.column("key")?,
        request: row.digest("request")?,
        attestations: serde_json::from_value(row.json("attestations")?)
            .map_err(|e| StoreError::Corrupt(format!("attestations: {e}")))?,
        at: row.time("at")?,
    })
}
