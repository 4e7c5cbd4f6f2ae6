//! Proof bundles: which attestations an address stands for.

use async_trait::async_trait;
use stella_core::digest::Sha256;
use stella_core::id::AttestationId;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::conn::Conn;
use super::row::{At, Columns, integer};
use crate::{ProofFilter, ProofKept, ProofRow, ProofStore, Result, StoreError};

#[async_trait]
impl ProofStore for PostgresStore {
    async fn insert_proof(&self, proof: ProofRow) -> Result<ProofKept> {
        self.writer
            .write(proof, |commit, proof| Box::pin(insert(&commit.conn, proof)))
            .await
    }

    async fn proof(&self, address: &Sha256) -> Result<Option<ProofRow>> {
        let conn = self.readers.reader().await?;
        by_address(&conn, address).await
    }

    /// A prefix with an odd number of digits ends in the middle of a byte.
    async fn proofs_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Sha256>> {
        let rest = DIGITS.saturating_sub(prefix.len());
        let bound = |digit: &str| hex::decode(format!("{prefix}{}", digit.repeat(rest)));
        let (Ok(from), Ok(to)) = (bound("0"), bound("f")) else {
            return Ok(Vec::new());
        };
        let sql = "SELECT address FROM signer.proofs WHERE address BETWEEN $1 AND $2
                   ORDER BY address LIMIT $3";
        let conn = self.readers.reader().await?;
        let rows = conn.all(sql, &[&from, &to, &integer(limit)]).await?;
        rows.iter().map(|row| row.digest("address")).collect()
    }

    async fn list_proofs(&self, filter: ProofFilter) -> Result<Vec<ProofRow>> {
        let sql = "SELECT p.* FROM signer.proofs p
                   WHERE ($1::bytea IS NULL
                          OR p.entry < (SELECT entry FROM signer.proofs WHERE address = $1))
                     AND ($2::text IS NULL OR EXISTS (
                          SELECT 1 FROM signer.proof_parts t
                          JOIN signer.attestation_subjects s ON s.attestation_id = t.attestation_id
                          WHERE t.address = p.address AND t.part = 0 AND s.name = $2))
                     AND ($3::text IS NULL OR EXISTS (
                          SELECT 1 FROM signer.proof_parts t
                          JOIN signer.attestation_subjects s ON s.attestation_id = t.attestation_id
                          WHERE t.address = p.address AND t.part = 0 AND s.algorithm = $3 AND s.digest = $4))
                     AND ($5::uuid IS NULL OR EXISTS (
                          SELECT 1 FROM signer.proof_parts t
                          WHERE t.address = p.address AND t.attestation_id = $5))
                   ORDER BY p.entry DESC LIMIT $6";
        let digest = filter.digest.as_ref();
        let params: [&(dyn ToSql + Sync); 6] = [
            &filter
                .before
                .as_ref()
                .map(|address| address.as_bytes().as_slice()),
            &filter.subject,
            &digest.map(|(algorithm, _)| algorithm),
            &digest.map(|(_, hex)| hex),
            &filter.attestation.map(|id| id.0),
            &integer(filter.limit),
        ];
        let conn = self.readers.reader().await?;
        let rows = conn.all(sql, &params).await?;
        with_parts(&conn, &rows).await
    }
}

/// Of an address in hex.
const DIGITS: usize = 64;

pub(super) async fn every(conn: &Conn) -> Result<Vec<ProofRow>> {
    let rows = conn
        .all("SELECT * FROM signer.proofs ORDER BY entry", &[])
        .await?;
    with_parts(conn, &rows).await
}

async fn insert(conn: &Conn, proof: &ProofRow) -> Result<ProofKept> {
    if proof.spine.is_empty() || proof.members.is_empty() || proof.members.iter().any(Vec::is_empty) {
        return Err(StoreError::Corrupt("a proof without a spine or a member".into()));
    }
    if let Some(earlier) = by_address(conn, &proof.address).await? {
        return Ok(ProofKept::Earlier(earlier));
    }
    let address = proof.address.as_bytes().as_slice();
    let sql = "INSERT INTO signer.proofs (entry, address, created_by, created_at)
               SELECT COALESCE(MAX(entry), 0) + 1, $1, $2, $3 FROM signer.proofs";
    conn.execute(sql, &[&address, &proof.created_by, &At(proof.created_at)])
        .await?;
    let parts = std::iter::once(&proof.spine).chain(&proof.members);
    for (part, attestations) in parts.enumerate() {
        for (position, id) in attestations.iter().enumerate() {
            let sql = "INSERT INTO signer.proof_parts (address, part, position, attestation_id)
                       SELECT $1, $2, $3, id FROM signer.attestations WHERE id = $4 AND state = 'signed'";
            let entered = conn
                .execute(sql, &[&address, &integer(part), &integer(position), &id.0])
                .await?;
            if entered != 1 {
                let why = format!("attestation {id} cannot be part of a proof: it is not signed");
                return Err(StoreError::Corrupt(why));
            }
        }
    }
    Ok(ProofKept::Done)
}

async fn by_address(conn: &Conn, address: &Sha256) -> Result<Option<ProofRow>> {
    let sql = "SELECT * FROM signer.proofs WHERE address = $1";
    let rows = conn.all(sql, &[&address.as_bytes().as_slice()]).await?;
    Ok(with_parts(conn, &rows).await?.pop())
}

async fn with_parts(conn: &Conn, rows: &[Row]) -> Result<Vec<ProofRow>> {
    let mut proofs = Vec::with_capacity(rows.len());
    for row in rows {
        let address = row.digest("address")?;
        let sql = "SELECT part, attestation_id FROM signer.proof_parts
                   WHERE address = $1 ORDER BY part, position";
        let mut parts: Vec<Vec<AttestationId>> = Vec::new();
        for held in conn.all(sql, &[&address.as_bytes().as_slice()]).await? {
            let part = usize::try_from(held.count("part")?).unwrap_or(usize::MAX);
            if part == parts.len() {
                parts.push(Vec::new());
            }
            let open = parts.get_mut(part).ok_or_else(|| gap(&address))?;
            open.push(AttestationId(held.id("attestation_id")?));
        }
        let mut parts = parts.into_iter();
        proofs.push(ProofRow {
            address,
            spine: parts.next().ok_or_else(|| gap(&address))?,
            members: parts.collect(),
            created_by: row.column("created_by")?,
            created_at: row.time("created_at")?,
        });
    }
    Ok(proofs)
}

fn gap(address: &Sha256) -> StoreError {
    StoreError::Corrupt(format!("proof sha256:{address}: a part of it is missing"))
}
