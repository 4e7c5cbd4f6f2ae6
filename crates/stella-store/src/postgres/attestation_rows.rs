//! Finding and reading attestations.

use std::collections::BTreeMap;

use stella_core::digest::Sha256;
use stella_core::dsse::Envelope;
use stella_core::id::AttestationId;
use stella_core::statement::{DigestSet, Subject};
use tokio_postgres::Row;
use uuid::Uuid;

use super::conditions::Conditions;
use super::conn::{Conn, Params};
use super::row::{At, Columns, integer};
use crate::{
    Attempts, AttestationFilter, AttestationRow, AttestationState, NewAttestation, Requested, Result,
    STORED_ENVELOPE, SignedPart, StoreError,
};

pub(super) async fn by_id(conn: &Conn, id: AttestationId) -> Result<Option<AttestationRow>> {
    let sql = "SELECT * FROM signer.attestations WHERE id = $1";
    Ok(select(conn, sql, &[&id.0]).await?.pop())
}

pub(super) async fn ids_by_prefix(conn: &Conn, prefix: &str, limit: usize) -> Result<Vec<AttestationId>> {
    let (Some(from), Some(to)) = (filled(prefix, NIL), filled(prefix, MAX)) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT id FROM signer.attestations WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3";
    let rows = conn.all(sql, &[&from, &to, &integer(limit)]).await?;
    rows.iter().map(|row| Ok(AttestationId(row.id("id")?))).collect()
}

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const MAX: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// The first or the last id that begins so, if any can.
fn filled(prefix: &str, rest: &str) -> Option<Uuid> {
    let text = format!("{prefix}{}", rest.get(prefix.len()..)?);
    Uuid::try_parse(&text).ok()
}

pub(super) async fn by_pae(conn: &Conn, pae: &Sha256) -> Result<Vec<AttestationRow>> {
    let sql = "SELECT * FROM signer.attestations WHERE pae = $1 ORDER BY id";
    select(conn, sql, &[&pae.as_bytes().as_slice()]).await
}

pub(super) async fn has_pae(conn: &Conn, pae: &Sha256) -> Result<bool> {
    let sql = "SELECT 1 FROM signer.attestations WHERE pae = $1 LIMIT 1";
    Ok(conn.first(sql, &[&pae.as_bytes().as_slice()]).await?.is_some())
}

pub(super) async fn by_digest(
    conn: &Conn,
    algorithm: &str,
    hex: &str,
    limit: usize,
) -> Result<Vec<AttestationRow>> {
    // As an array: a join could be done by reading all attestations.
    let sql = "SELECT * FROM signer.attestations WHERE id = ANY (ARRAY
               (SELECT attestation_id FROM signer.attestation_subjects
                WHERE algorithm = $1 AND digest IN ($2, $3)
                  AND right(digest, 16) IN (right($2, 16), right($3, 16))))
               ORDER BY imported, id LIMIT $4";
    let lower = hex.to_ascii_lowercase();
    select(conn, sql, &[&algorithm, &hex, &lower, &integer(limit)]).await
}

/// Newest first: an id begins with its moment.
pub(super) async fn list(conn: &Conn, filter: &AttestationFilter) -> Result<Vec<AttestationRow>> {
    let mut of = Conditions::of("SELECT * FROM signer.attestations");
    of.and("state =", filter.state.map(AttestationState::as_str), "");
    of.and("predicate_type =", filter.predicate_type.clone(), "");
    if let Some(subject) = filter.subject.clone() {
        let n = of.value(subject);
        of.also(&format!(
            "id IN (SELECT attestation_id FROM signer.attestation_subjects
                    WHERE name = ${n} AND left(name, 200) = left(${n}, 200))"
        ));
    }
    of.and("key_id =", filter.key_id.as_ref().map(ToString::to_string), "");
    of.and("requested_by =", filter.identity.clone(), "");
    of.and("created_at >=", filter.since.map(At), "");
    of.and("last_attempt_at >=", filter.attempted_since.map(At), "");
    of.and("id <", filter.before.map(|id| id.0), "");
    match filter.imported {
        Some(true) => of.also("imported"),
        Some(false) => of.also("NOT imported"),
        None => {}
    }
    if let Some(spans) = &filter.signed_in {
        let keys: Vec<_> = spans.iter().map(|span| span.key_id.to_string()).collect();
        let untils: Vec<_> = spans.iter().map(|span| span.until.map(At)).collect();
        let (keys, untils) = (of.value(keys), of.value(untils));
        of.also(&format!(
            "EXISTS (SELECT 1 FROM unnest(${keys}::text[], ${untils}::timestamptz[]) AS span (key, until)
                     WHERE key_id = span.key AND (span.until IS NULL OR signed_at < span.until))"
        ));
    }
    let limit = of.value(integer(filter.limit));
    of.ends(&format!(" ORDER BY id DESC LIMIT ${limit}"));
    select(conn, of.sql(), &of.params()).await
}

async fn select(conn: &Conn, sql: &str, params: Params<'_>) -> Result<Vec<AttestationRow>> {
    let rows = conn.all(sql, params).await?;
    read(conn, &rows).await?.into_iter().collect()
}

/// Each row with its subjects, or what is wrong with it.
pub(super) async fn read(conn: &Conn, rows: &[Row]) -> Result<Vec<Result<AttestationRow>>> {
    let ids = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<_>>>()?;
    let mut subjects = subjects(conn, &ids).await?;
    let with_subjects = rows.iter().zip(ids).map(|(row, id)| {
        let found = subjects.remove(&id).unwrap_or_default();
        attestation(row, AttestationId(id), found)
    });
    Ok(with_subjects.collect())
}

fn attestation(row: &Row, id: AttestationId, subjects: Subjects) -> Result<AttestationRow> {
    let signed = signed(row)?;
    Ok(AttestationRow {
        id,
        pae: row.digest("pae")?,
        payload_type: row.column("payload_type")?,
        payload: payload(row, signed.as_ref())?,
        predicate_type: row.column("predicate_type")?,
        subjects: in_order(id, subjects)?,
        profile: row.parsed_or_null("profile")?,
        state: state(row.column("state")?)?,
        requested: Requested {
            identity: row.column("requested_by")?,
            token: row
                .column::<Option<_>>("requested_token")?
                .map(stella_core::id::TokenId),
            authority: row.json("requested_authority")?.into(),
        },
        created_at: row.time("created_at")?,
        signed,
        attempts: Attempts {
            count: u32::try_from(row.count("attempts")?).unwrap_or(u32::MAX),
            last_error: row.column("last_error")?,
            last_at: row.time_or_null("last_attempt_at")?,
            next_at: row.time_or_null("next_attempt_at")?,
        },
        supersedes: row.column::<Option<_>>("supersedes")?.map(AttestationId),
        imported: row.column("imported")?,
    })
}

/// By itself, or in the envelope. Of one that is damaged nothing is left, and no
/// digest fits that: the row is still read, so that it can be said of which.
fn payload(row: &Row, signed: Option<&SignedPart>) -> Result<Vec<u8>> {
    if let Some(payload) = row.column("payload")? {
        return Ok(payload);
    }
    let held = signed.and_then(|signed| Envelope::parse(&signed.envelope, &STORED_ENVELOPE).ok());
    Ok(held.map(|envelope| envelope.payload).unwrap_or_default())
}

/// What its envelope does not give back.
pub(super) fn payload_beside_envelope(new: &NewAttestation) -> Option<&[u8]> {
    let held = new.outcome.signed().and_then(|signed| {
        let envelope = Envelope::parse(&signed.envelope, &STORED_ENVELOPE).ok()?;
        (envelope.payload == new.payload).then_some(())
    });
    held.is_none().then_some(new.payload.as_slice())
}

fn state(text: &str) -> Result<AttestationState> {
    AttestationState::parse(text).ok_or_else(|| StoreError::Corrupt(format!("state: {text}")))
}

fn signed(row: &Row) -> Result<Option<SignedPart>> {
    let envelope: Option<Vec<u8>> = row.column("envelope")?;
    envelope
        .map(|envelope| {
            Ok(SignedPart {
                envelope,
                key_id: row.parsed_or_null("key_id")?,
                recorded_at: row.time("signed_at")?,
            })
        })
        .transpose()
}

/// By position.
type Subjects = BTreeMap<u64, (Option<String>, BTreeMap<String, String>)>;

async fn subjects(conn: &Conn, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Subjects>> {
    let sql = "SELECT * FROM signer.attestation_subjects WHERE attestation_id = ANY($1)";
    let mut found: BTreeMap<Uuid, Subjects> = BTreeMap::new();
    for row in conn.all(sql, &[&ids]).await? {
        let of = found.entry(row.id("attestation_id")?).or_default();
        let (name, digests) = of.entry(row.count("position")?).or_default();
        *name = row.column("name")?;
        digests.insert(row.column("algorithm")?, row.column("digest")?);
    }
    Ok(found)
}

fn in_order(id: AttestationId, subjects: Subjects) -> Result<Vec<Subject>> {
    let subject = |(name, digests)| {
        let digest = DigestSet::new(digests)
            .map_err(|e| StoreError::Corrupt(format!("a subject of attestation {id}: {e}")))?;
        Ok(Subject { name, digest })
    };
    subjects.into_values().map(subject).collect()
}
