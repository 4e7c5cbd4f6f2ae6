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
    let (there, next) = tokio::try_join!(entry(conn, &by.ledger), next(conn))?;
    // A deterministic algorithm signs the same bytes to the same signature;
    // the first time it was made is the one that counts.
    if there.is_some() {
        return Ok(None);
    }
    Ok(Some(next))
}

/// The number of the next signature that enters.
pub(super) async fn next(conn: &Conn) -> Result<u64> {
    let sql = "SELECT COALESCE(MAX(entry), 0) + 1 AS next FROM signer.ledger";
    let next = conn.first(sql, &[]).await?;
    next.map_or(Ok(1), |row| row.count("next"))
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

    pub(super) fn chain(&self, commit: &mut Commit) {
        commit.chain_ledger_entry(self.number, &self.bytes);
    }
}

pub(super) const INSERT: &str = "INSERT INTO signer.ledger
               (entry, pae, spki, signature, signed_at, attestation_id, requested_by, bytes)
               SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[],
                                    $5::timestamptz[], $6::uuid[], $7::text[], $8::bytea[])";

pub(super) async fn insert(conn: &Conn, statement: &Statement, all: &[Entering<'_>]) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    fn column<'a, T>(all: &'a [Entering<'_>], of: impl Fn(&'a Entering<'_>) -> T) -> Vec<T> {
        all.iter().map(of).collect()
    }
    let params: [&(dyn ToSql + Sync); 8] = [
        &column(all, |e| integer(e.number)),
        &column(all, |e| e.by.ledger.pae.as_bytes().as_slice()),
        &column(all, |e| e.by.ledger.spki.as_bytes().as_slice()),
        &column(all, |e| e.by.ledger.signature.as_bytes().as_slice()),
        &column(all, |e| At(e.at)),
        &column(all, |e| e.attestation.0),
        &column(all, |e| e.by.requested_by.as_str()),
        &column(all, |e| e.bytes.as_slice()),
    ];
    conn.send(statement, &params).await.map(drop)
}

/// By itself.
pub(super) async fn enter(commit: &mut Commit, attestation: AttestationId, signed: &Signed) -> Result<()> {
    let number = next_for(&commit.conn, signed).await?;
    let Some(entering) = Entering::new(number, attestation, signed)? else {
        return Ok(());
    };
    let statement = commit.conn.prepare(INSERT).await?;
    insert(&commit.conn, &statement, std::slice::from_ref(&entering)).await?;
    entering.chain(commit);
    Ok(())
}

pub(super) async fn entry(conn: &Conn, key: &LedgerKey) -> Result<Option<LedgerEntry>> {
    // By the attestations of the statement: what a signature is told by is
    // too much of chance for an index of its own.
    let sql = "SELECT signed_at, attestation_id, requested_by FROM signer.ledger
               WHERE attestation_id = ANY (ARRAY(SELECT id FROM signer.attestations WHERE pae = $1))
                 AND pae = $1 AND spki = $2 AND signature = $3";
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
