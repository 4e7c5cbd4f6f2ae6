//! The ledger: every signature that was made here.

use stella_core::id::AttestationId;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::row::{At, Columns, integer};
use super::writer::Commit;
use crate::chain::ledger_bytes;
use crate::{LedgerEntry, LedgerKey, Result, Signed};

/// An import has no signer here and enters nothing.
pub(super) async fn enter(commit: &mut Commit, attestation: AttestationId, signed: &Signed) -> Result<()> {
    let Some(by) = &signed.by else {
        return Ok(());
    };
    // A deterministic algorithm signs the same bytes to the same signature;
    // the first time it was made is the one that counts.
    if entry(&commit.conn, &by.ledger).await?.is_some() {
        return Ok(());
    }
    let sql = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM signer.ledger";
    let next = commit.conn.first(sql, &[]).await?;
    let number = next.map_or(Ok(1), |row| row.count("next"))?;
    let made = LedgerEntry {
        signed_at: signed.recorded_at,
        attestation,
        requested_by: by.requested_by.clone(),
    };
    let bytes = ledger_bytes(number, &by.ledger, &made)?;
    let params: [&(dyn ToSql + Sync); 8] = [
        &integer(number),
        &by.ledger.pae.as_bytes().as_slice(),
        &by.ledger.spki.as_bytes().as_slice(),
        &by.ledger.signature.as_bytes().as_slice(),
        &At(signed.recorded_at),
        &attestation.0,
        &by.requested_by,
        &bytes,
    ];
    let sql = "INSERT INTO signer.ledger
               (entry, pae, spki, signature, signed_at, attestation_id, requested_by, bytes)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    commit.conn.execute(sql, &params).await?;
    commit.chain_ledger_entry(number, &bytes);
    Ok(())
}

pub(super) async fn entry(conn: &Conn, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
    let sql = "SELECT signed_at, attestation_id, requested_by FROM signer.ledger
               WHERE pae = $1 AND spki = $2 AND signature = $3";
    let (pae, spki, signature) = (key.pae.as_bytes(), key.spki.as_bytes(), key.signature.as_bytes());
    let row = conn
        .first(sql, &[&pae.as_slice(), &spki.as_slice(), &signature.as_slice()])
        .await?;
    row.as_ref().map(entry_of).transpose()
}

pub(super) fn entry_of(row: &Row) -> Result<LedgerEntry> {
    Ok(LedgerEntry {
        signed_at: row.time("signed_at")?,
        attestation: AttestationId(row.id("attestation_id")?),
        requested_by: row.column("requested_by")?,
    })
}

pub(super) fn key_of(row: &Row) -> Result<LedgerKey> {
    Ok(LedgerKey {
        pae: row.digest("pae")?,
        spki: row.digest("spki")?,
        signature: row.digest("signature")?,
    })
}
