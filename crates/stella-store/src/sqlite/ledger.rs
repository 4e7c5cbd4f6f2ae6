//! The ledger: every signature that was made here.

use rusqlite::{Connection, Row};
use stella_core::id::AttestationId;

use super::row::{Columns, execute, first, integer};
use super::writer::Commit;
use crate::chain::ledger_bytes;
use crate::{LedgerEntry, LedgerKey, Result, Signed, StoreError};

/// Which attestation a signature is of.
pub(super) struct Entered {
    pub(super) id: AttestationId,
    /// Its number.
    pub(super) entry: i64,
    /// Nothing else is stored about the same statement, and so no signature.
    pub(super) first: bool,
}

/// The number of the next entry.
pub(super) fn next(conn: &Connection) -> Result<u64> {
    let sql = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM signer.ledger_entries";
    Ok(first(conn, sql, [], |row| row.count("next"))?.unwrap_or(1))
}

/// An import has no signer here and enters nothing.
pub(super) fn enter(commit: &mut Commit<'_>, of: &Entered, signed: &Signed) -> Result<()> {
    let Some(by) = &signed.by else {
        return Ok(());
    };
    // A deterministic algorithm signs the same bytes to the same signature;
    // the first time it was made is the one that counts.
    if !of.first && entry(commit.conn, &by.ledger)?.is_some() {
        return Ok(());
    }
    let number = commit.next_ledger_entry()?;
    let bytes = ledger_bytes(
        number,
        &by.ledger,
        &LedgerEntry {
            signed_at: signed.recorded_at,
            attestation: of.id,
            requested_by: by.requested_by.clone(),
        },
    )?;
    // Numbered by SQLite, which takes the next number as well: one that is
    // given might be none, and the statement would keep copies for that.
    execute(
        commit.conn,
        "INSERT OR FAIL INTO signer.ledger_entries
         (attestation, spki, signature, signed_at, requested_by, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            of.entry,
            by.ledger.spki.as_bytes(),
            by.ledger.signature.as_bytes(),
            signed.recorded_at.fixed_width(),
            &by.requested_by,
            &bytes,
        ),
    )?;
    let entered = commit.conn.last_insert_rowid();
    if entered != integer(number) {
        return Err(StoreError::Corrupt(format!(
            "ledger entry {number} was to come next, and {entered} did"
        )));
    }
    commit.chain_ledger_entry(number, &bytes);
    Ok(())
}

pub(super) fn entry(conn: &Connection, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
    let sql = "SELECT l.signed_at, a.id AS attestation_id, l.requested_by
               FROM signer.attestations a JOIN signer.ledger_entries l ON l.attestation = a.entry
               WHERE a.pae_start = substr(?1, 1, 8) AND a.pae = ?1 AND l.spki = ?2 AND l.signature = ?3";
    let params = (key.pae.as_bytes(), key.spki.as_bytes(), key.signature.as_bytes());
    first(conn, sql, params, entry_of)
}

pub(super) fn entry_of(row: &Row<'_>) -> Result<LedgerEntry> {
    Ok(LedgerEntry {
        signed_at: row.parsed("signed_at")?,
        attestation: row.parsed("attestation_id")?,
        requested_by: row.get("requested_by")?,
    })
}

pub(super) fn key_of(row: &Row<'_>) -> Result<LedgerKey> {
    Ok(LedgerKey {
        pae: row.digest("pae")?,
        spki: row.digest("spki")?,
        signature: row.digest("signature")?,
    })
}
