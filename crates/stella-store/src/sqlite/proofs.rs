//! Proof bundles: which attestations an address stands for.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use stella_core::digest::Sha256;
use stella_core::id::AttestationId;

use super::SqliteStore;
use super::row::{Columns, all, execute, first, integer};
use crate::{ProofFilter, ProofKept, ProofRow, ProofStore, Result, StoreError};

#[async_trait]
impl ProofStore for SqliteStore {
    async fn insert_proof(&self, proof: ProofRow) -> Result<ProofKept> {
        self.writer.write(move |commit| insert(commit.conn, &proof)).await
    }

    async fn proof(&self, address: &Sha256) -> Result<Option<ProofRow>> {
        let address = *address;
        self.readers.read(move |conn| by_address(conn, &address)).await
    }

    async fn proofs_by_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<Sha256>> {
        let prefix = prefix.to_ascii_lowercase();
        self.readers
            .read(move |conn| addresses_by_prefix(conn, &prefix, limit))
            .await
    }

    async fn list_proofs(&self, filter: ProofFilter) -> Result<Vec<ProofRow>> {
        self.readers.read(move |conn| list(conn, &filter)).await
    }
}

pub(super) fn every(conn: &Connection) -> Result<Vec<ProofRow>> {
    let rows = all(conn, "SELECT * FROM signer.proofs ORDER BY entry", [], head_of)?;
    rows.into_iter().map(|row| with_parts(conn, row)).collect()
}

fn insert(conn: &Connection, proof: &ProofRow) -> Result<ProofKept> {
    if proof.spine.is_empty() || proof.members.is_empty() || proof.members.iter().any(Vec::is_empty) {
        return Err(StoreError::Corrupt("a proof without a spine or a member".into()));
    }
    if let Some(earlier) = by_address(conn, &proof.address)? {
        return Ok(ProofKept::Earlier(earlier));
    }
    execute(
        conn,
        "INSERT INTO signer.proofs (address, created_by, created_at) VALUES (?1, ?2, ?3)",
        (
            proof.address.as_bytes(),
            &proof.created_by,
            proof.created_at.fixed_width(),
        ),
    )?;
    let parts = std::iter::once(&proof.spine).chain(&proof.members);
    for (part, attestations) in parts.enumerate() {
        for (position, id) in attestations.iter().enumerate() {
            let entered = execute(
                conn,
                "INSERT INTO signer.proof_parts (address, part, position, attestation_id)
                 SELECT ?1, ?2, ?3, id FROM signer.attestations WHERE id = ?4 AND state = 'signed'",
                (
                    proof.address.as_bytes(),
                    integer(part),
                    integer(position),
                    id.to_string(),
                ),
            )?;
            if entered != 1 {
                let why = format!("attestation {id} cannot be part of a proof: it is not signed");
                return Err(StoreError::Corrupt(why));
            }
        }
    }
    Ok(ProofKept::Done)
}

fn by_address(conn: &Connection, address: &Sha256) -> Result<Option<ProofRow>> {
    let sql = "SELECT * FROM signer.proofs WHERE address = ?1";
    first(conn, sql, [address.as_bytes()], head_of)?
        .map(|row| with_parts(conn, row))
        .transpose()
}

/// A prefix with an odd number of digits ends in the middle of a byte.
fn addresses_by_prefix(conn: &Connection, prefix: &str, limit: usize) -> Result<Vec<Sha256>> {
    if !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    // Whole bytes by the index, then the odd digit.
    let whole = hex::decode(prefix.get(..prefix.len() & !1).unwrap_or_default()).unwrap_or_default();
    let last = [whole.as_slice(), &[0xff; 32]].concat();
    let sql = "SELECT address FROM signer.proofs
               WHERE address BETWEEN ?1 AND ?2 AND substr(lower(hex(address)), 1, length(?3)) = ?3
               ORDER BY address LIMIT ?4";
    all(conn, sql, (whole, last, prefix, integer(limit)), |row| {
        row.digest("address")
    })
}

fn list(conn: &Connection, filter: &ProofFilter) -> Result<Vec<ProofRow>> {
    let sql = "SELECT p.* FROM signer.proofs p
               WHERE (?1 IS NULL OR p.entry < (SELECT entry FROM signer.proofs WHERE address = ?1))
                 AND (?2 IS NULL OR EXISTS (
                      SELECT 1 FROM signer.proof_parts t
                      JOIN signer.attestation_subjects s ON s.attestation_id = t.attestation_id
                      WHERE t.address = p.address AND t.part = 0 AND s.name = ?2))
                 AND (?3 IS NULL OR EXISTS (
                      SELECT 1 FROM signer.proof_parts t
                      JOIN signer.attestation_subjects s ON s.attestation_id = t.attestation_id
                      WHERE t.address = p.address AND t.part = 0 AND s.algorithm = ?3 AND s.digest = ?4))
                 AND (?5 IS NULL OR EXISTS (
                      SELECT 1 FROM signer.proof_parts t
                      WHERE t.address = p.address AND t.attestation_id = ?5))
               ORDER BY p.entry DESC LIMIT ?6";
    let digest = filter.digest.as_ref();
    let params = (
        filter.before.as_ref().map(Sha256::as_bytes),
        &filter.subject,
        digest.map(|(algorithm, _)| algorithm),
        digest.map(|(_, hex)| hex),
        filter.attestation.map(|id| id.to_string()),
        integer(filter.limit),
    );
    let rows = all(conn, sql, params, head_of)?;
    rows.into_iter().map(|row| with_parts(conn, row)).collect()
}

fn head_of(row: &Row<'_>) -> Result<ProofRow> {
    Ok(ProofRow {
        address: row.digest("address")?,
        spine: Vec::new(),
        members: Vec::new(),
        created_by: row.get("created_by")?,
        created_at: row.parsed("created_at")?,
    })
}

fn with_parts(conn: &Connection, mut proof: ProofRow) -> Result<ProofRow> {
    let sql = "SELECT part, attestation_id FROM signer.proof_parts
               WHERE address = ?1 ORDER BY part, position";
    let mut parts: Vec<Vec<AttestationId>> = Vec::new();
    all(conn, sql, [proof.address.as_bytes()], |row| {
        let part = usize::try_from(row.count("part")?).unwrap_or(usize::MAX);
        if part == parts.len() {
            parts.push(Vec::new());
        }
        let open = parts.get_mut(part).ok_or_else(|| gap(&proof.address))?;
        open.push(row.parsed("attestation_id")?);
        Ok(())
    })?;
    let mut parts = parts.into_iter();
    proof.spine = parts.next().ok_or_else(|| gap(&proof.address))?;
    proof.members = parts.collect();
    Ok(proof)
}

fn gap(address: &Sha256) -> StoreError {
    StoreError::Corrupt(format!("proof sha256:{address}: a part of it is missing"))
}
