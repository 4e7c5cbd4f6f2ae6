//! The ledger: every signature that was made here.

use stella_core::id::AttestationId;
use stella_core::time::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::conn::Conn;
use super::row::{At, Columns, integer};
use super::writer::Commit;
use crate::chain::ledger_bytes;
use crate::{LedgerEntry, LedgerKey, Result, Signed, SignedHere};

/// What has to be known before a signature enters: whether it is there, and
/// which number comes next. An import has no signer here and enters nothing.
pub(super) async fn next_for(conn: &Conn, signed: &Signed) -> Result<Option<u64>> {
    let Some(by) = &signed.by else {
        return Ok(None);
    };
    let sql = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM signer.ledger";
    let (there, next) = tokio::try_join!(entry(conn, &by.ledger), conn.first(sql, &[]))?;
    // A deterministic algorithm signs the same bytes to the same signature;
    // the first time it was made is the one that counts.
    if there.is_some() {
        return Ok(None);
    }
    next.map_or(Ok(1), |row| row.count("next")).map(Some)
}

/// A signature as it enters.
pub(super) struct Entering<'a> {
    number: u64,
    attestation: AttestationId,
    by: &'a SignedHere,
    at: Timestamp,
    pub(super) bytes: Vec<u8>,
}

impl<'a> Entering<'a> {
    pub(super) const SQL: &'static str = "INSERT INTO signer.ledger
               (entry, pae, spki, signature, signed_at, attestation_id, requested_by, bytes)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

    pub(super) fn new(
        number: Option<u64>,
        attestation: AttestationId,
        signed: &'a Signed,
    ) -> Result<Option<Self>> {
        let Some((number, by)) = number.zip(signed.by.as_ref()) else {
            return Ok(None);
        };
        let made = LedgerEntry {
            signed_at: signed.recorded_at,
            attestation,
            requested_by: by.requested_by.clone(),
        };
        Ok(Some(Self {
            number,
            attestation,
            by,
            at: signed.recorded_at,
            bytes: ledger_bytes(number, &by.ledger, &made)?,
        }))
    }

    pub(super) async fn send(&self, conn: &Conn, statement: &Statement) -> Result<()> {
        let key = &self.by.ledger;
        let params: [&(dyn ToSql + Sync); 8] = [
            &integer(self.number),
            &key.pae.as_bytes().as_slice(),
            &key.spki.as_bytes().as_slice(),
            &key.signature.as_bytes().as_slice(),
            &At(self.at),
            &self.attestation.0,
            &self.by.requested_by,
            &self.bytes,
        ];
        conn.send(statement, &params).await.map(drop)
    }

    pub(super) fn chain(&self, commit: &mut Commit) {
        commit.chain_ledger_entry(self.number, &self.bytes);
    }
}

/// By itself.
pub(super) async fn enter(commit: &mut Commit, attestation: AttestationId, signed: &Signed) -> Result<()> {
    let number = next_for(&commit.conn, signed).await?;
    let Some(entering) = Entering::new(number, attestation, signed)? else {
        return Ok(());
    };
    let statement = commit.conn.prepare(Entering::SQL).await?;
    entering.send(&commit.conn, &statement).await?;
    entering.chain(commit);
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
