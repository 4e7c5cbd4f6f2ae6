//! Finding and reading attestations.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row, params_from_iter};
use stella_core::digest::Sha256;
use stella_core::dsse::Envelope;
use stella_core::id::AttestationId;
use stella_core::statement::{DigestSet, Subject};

use super::row::{Columns, all, first, integer};
use crate::{
    Attempts, AttestationFilter, AttestationRow, AttestationState, Requested, Result, STORED_ENVELOPE,
    SignedPart, StoreError,
};

pub(super) fn by_id(conn: &Connection, id: AttestationId) -> Result<Option<AttestationRow>> {
    let sql = "SELECT * FROM signer.attestations WHERE id = ?1";
    Ok(select(conn, sql, [id.to_string()])?.pop())
}

pub(super) fn ids_by_prefix(conn: &Connection, prefix: &str, limit: usize) -> Result<Vec<AttestationId>> {
    // 'g' comes after everything that an id is written with.
    let sql = "SELECT id FROM signer.attestations WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT ?2";
    all(conn, sql, (prefix, integer(limit)), |row| row.parsed("id"))
}

pub(super) fn by_pae(conn: &Connection, pae: &Sha256) -> Result<Vec<AttestationRow>> {
    let sql = "SELECT * FROM signer.attestations
               WHERE pae_start = substr(?1, 1, 8) AND pae = ?1 ORDER BY id";
    select(conn, sql, [pae.as_bytes()])
}

pub(super) fn has_pae(conn: &Connection, pae: &Sha256) -> Result<bool> {
    let sql = "SELECT 1 FROM signer.attestations
               WHERE pae_start = substr(?1, 1, 8) AND pae = ?1 LIMIT 1";
    Ok(first(conn, sql, [pae.as_bytes()], |_| Ok(()))?.is_some())
}

/// What a subject's digest is found by: its last 16 characters.
pub(super) fn end_of(digest: &str) -> &str {
    let start = digest.char_indices().rev().nth(15).map_or(0, |(at, _)| at);
    digest.get(start..).unwrap_or(digest)
}

pub(super) fn by_digest(
    conn: &Connection,
    algorithm: &str,
    hex: &str,
    limit: usize,
) -> Result<Vec<AttestationRow>> {
    let sql = "SELECT * FROM signer.attestations WHERE entry IN
               (SELECT attestation FROM signer.subjects
                WHERE digest_end IN (substr(?2, -16), lower(substr(?2, -16)))
                  AND algorithm = ?1 AND digest IN (?2, lower(?2)))
               ORDER BY imported, id LIMIT ?3";
    select(conn, sql, (algorithm, hex, integer(limit)))
}

/// Newest first: an id begins with its moment.
pub(super) fn list(conn: &Connection, filter: &AttestationFilter) -> Result<Vec<AttestationRow>> {
    let mut sql = String::from("SELECT * FROM signer.attestations WHERE TRUE");
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &str, value: Option<String>| {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value.into());
        }
    };
    match filter.state {
        // Nearly all are.
        Some(AttestationState::Signed) => and("state = ?", Some("signed".to_owned())),
        // As the index of the others has it.
        Some(state) => and("state <> 'signed' AND state = ?", Some(state.as_str().to_owned())),
        None => {}
    }
    and("predicate_type = ?", filter.predicate_type.clone());
    and(
        "entry IN (SELECT attestation FROM signer.subjects WHERE name = ?)",
        filter.subject.clone(),
    );
    and("key_id = ?", filter.key_id.as_ref().map(|id| id.to_string()));
    and("requested_by = ?", filter.identity.clone());
    and("created_at >= ?", filter.since.map(|at| at.fixed_width()));
    and(
        "last_attempt_at >= ?",
        filter.attempted_since.map(|at| at.fixed_width()),
    );
    and("id < ?", filter.before.map(|id| id.to_string()));
    if let Some(imported) = filter.imported {
        // As the index has it.
        sql.push_str(if imported {
            " AND imported <> 0"
        } else {
            " AND imported = 0"
        });
    }
    if let Some(spans) = &filter.signed_in {
        sql.push_str(" AND (FALSE");
        for span in spans {
            sql.push_str(" OR (key_id = ?");
            values.push(span.key_id.to_string().into());
            if let Some(until) = span.until {
                sql.push_str(" AND signed_at < ?");
                values.push(until.fixed_width().into());
            }
            sql.push(')');
        }
        sql.push(')');
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push(integer(filter.limit).into());
    select(conn, &sql, params_from_iter(values))
}

pub(super) fn select(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<AttestationRow>> {
    all(conn, sql, params, |row| attestation(conn, row))
}

pub(super) fn attestation(conn: &Connection, row: &Row<'_>) -> Result<AttestationRow> {
    let id: AttestationId = row.parsed("id")?;
    let signed = signed(row)?;
    Ok(AttestationRow {
        id,
        pae: row.digest("pae")?,
        payload_type: row.get("payload_type")?,
        payload: payload(row, signed.as_ref())?,
        predicate_type: row.get("predicate_type")?,
        subjects: subjects(conn, row.get("entry")?, id)?,
        profile: row.parsed_or_null("profile")?,
        state: state(&row.get::<_, String>("state")?)?,
        requested: Requested {
            identity: row.get("requested_by")?,
            token: row.parsed_or_null("requested_token")?,
            authority: row.json("requested_authority")?.into(),
        },
        created_at: row.parsed("created_at")?,
        signed,
        attempts: Attempts {
            count: row.get("attempts")?,
            last_error: row.get("last_error")?,
            last_at: row.parsed_or_null("last_attempt_at")?,
            next_at: row.parsed_or_null("next_attempt_at")?,
        },
        supersedes: row.parsed_or_null("supersedes")?,
        imported: row.get("imported")?,
    })
}

fn state(text: &str) -> Result<AttestationState> {
    AttestationState::parse(text).ok_or_else(|| StoreError::Corrupt(format!("state: {text}")))
}

fn signed(row: &Row<'_>) -> Result<Option<SignedPart>> {
    let envelope: Option<Vec<u8>> = row.get("envelope")?;
    envelope
        .map(|envelope| {
            Ok(SignedPart {
                envelope,
                key_id: row.parsed_or_null("key_id")?,
                recorded_at: row.parsed("signed_at")?,
            })
        })
        .transpose()
}

/// Its own, or what the envelope holds.
fn payload(row: &Row<'_>, signed: Option<&SignedPart>) -> Result<Vec<u8>> {
    match (row.get::<_, Option<Vec<u8>>>("payload")?, signed) {
        (Some(payload), _) => Ok(payload),
        (None, Some(signed)) => payload_of(&signed.envelope),
        (None, None) => Err(StoreError::Corrupt("it has no payload".into())),
    }
}

pub(super) fn payload_of(envelope: &[u8]) -> Result<Vec<u8>> {
    Envelope::parse(envelope, &STORED_ENVELOPE)
        .map(|envelope| envelope.payload)
        .map_err(|e| StoreError::Corrupt(format!("its envelope: {e}")))
}

fn subjects(conn: &Connection, entry: i64, id: AttestationId) -> Result<Vec<Subject>> {
    let sql = "SELECT position, name, algorithm, digest FROM signer.subjects
               WHERE attestation = ?1 ORDER BY position";
    let mut found: BTreeMap<u64, (Option<String>, BTreeMap<String, String>)> = BTreeMap::new();
    all(conn, sql, [entry], |row| {
        let (name, digests) = found.entry(row.count("position")?).or_default();
        *name = row.get("name")?;
        digests.insert(row.get("algorithm")?, row.get("digest")?);
        Ok(())
    })?;
    found
        .into_values()
        .map(|(name, digests)| {
            let digest = DigestSet::new(digests)
                .map_err(|e| StoreError::Corrupt(format!("a subject of attestation {id}: {e}")))?;
            Ok(Subject { name, digest })
        })
        .collect()
}
