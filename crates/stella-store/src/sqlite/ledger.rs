//! The ledger: every signature that was made here.

use rusqlite::{Connection, Row};
use stella_core::id::AttestationId;

use super::row::{Columns, execute, first, integer};
use super::writer::Commit;
use crate::chain::ledger_bytes;
use crate::{LedgerEntry, LedgerKey, Result, Signed};

/// An import has no signer here and enters nothing.
pub(super) fn enter(commit: &mut Commit<'_>, attestation: AttestationId, signed: &Signed) -> Result<()> {
    let Some(by) = &signed.by else {
        return Ok(());
    };
    // A deterministic algorithm signs the same bytes to the same signature;
    // the first time it was made is the one that counts.
    if entry(commit.conn, &by.ledger)?.is_some() {
        return Ok(());
    }
    let sql = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM signer.ledger";
    let number = first(commit.conn, sql, [], |row| row.count("next"))?.unwrap_or(1);
    let bytes = ledger_bytes(
        number,
        &by.ledger,
        &LedgerEntry {
            signed_at: signed.recorded_at,
            attestation,
            requested_by: by.requested_by.clone(),
        },
    )?;
    execute(
        commit.conn,
        "INSERT INTO signer.ledger
         (entry, pae, spki, signature, signed_at, attestation_id, requested_by, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            integer(number),
            by.ledger.pae.as_bytes(),
            by.ledger.spki.as_bytes(),
            by.ledger.signature.as_bytes(),
            signed.recorded_at.fixed_width(),
            attestation.to_string(),
            &by.requested_by,
            &bytes,
        ),
    )?;
    commit.chain_ledger_entry(number, &bytes);
    Ok(())
}

pub(super) fn entry(conn: &Connection, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
    let sql = "SELECT signed_at, attestation_id, requested_by FROM signer.ledger
               WHERE pae = ?1 AND spki = ?2 AND signature = ?3";
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
