//! What is not signed yet, and who works on which of it.

use async_trait::async_trait;
use stella_core::id::AttestationId;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::attestations::{Moved, enter, moved, unsigned};
use super::conn::Conn;
use super::row::{At, Columns, integer};
use super::writer::Commit;
use super::{PostgresStore, attestation_rows as rows};
use crate::{
    Attempt, AttemptNoted, AttestationState, Claim, Claimed, Claiming, QueueFigures, QueueStore, Result,
    SignatureStored, Signed, SignedLater, Waiting, WaitingFilter,
};

#[async_trait]
impl QueueStore for PostgresStore {
    async fn waiting(&self, filter: WaitingFilter) -> Result<Vec<Waiting>> {
        let conn = self.readers.reader().await?;
        waiting(&conn, &filter).await
    }

    async fn claim(&self, claiming: Claiming) -> Result<Vec<Claimed>> {
        self.writer
            .write(claiming, |commit, claiming| {
                Box::pin(claim(&commit.conn, claiming))
            })
            .await
    }

    async fn store_signature(&self, claim: Claim, signed: Signed) -> Result<SignatureStored> {
        self.writer
            .write((claim, signed), |commit, (claim, signed)| {
                Box::pin(store_signature(commit, *claim, signed))
            })
            .await
    }

    async fn note_attempt(&self, claim: Claim, attempt: Attempt) -> Result<AttemptNoted> {
        self.writer
            .write((claim, attempt), |commit, (claim, attempt)| {
                Box::pin(note_attempt(&commit.conn, *claim, attempt))
            })
            .await
    }

    async fn release(&self, claims: Vec<Claim>) -> Result<()> {
        self.writer
            .write(claims, |commit, claims| {
                Box::pin(async move { give_back(&commit.conn, claims).await })
            })
            .await
    }

    async fn queue(&self) -> Result<QueueFigures> {
        let conn = self.readers.reader().await?;
        let sql = "SELECT state, COUNT(*) AS number, MIN(created_at) AS oldest
                   FROM signer.attestations GROUP BY state";
        let mut figures = QueueFigures::default();
        for row in conn.all(sql, &[]).await? {
            let number = row.count("number")?;
            match row.column("state")? {
                "recorded" => {
                    figures.recorded = number;
                    figures.oldest_unsigned = row.time_or_null("oldest")?;
                }
                "signed" => figures.signed = number,
                "failed" => figures.failed = number,
                _ => figures.held = number,
            }
        }
        Ok(figures)
    }

    async fn newest_signatures(&self, limit: usize) -> Result<Vec<SignedLater>> {
        let conn = self.readers.reader().await?;
        let sql = "SELECT created_at, ledger.signed_at AS made_at
               FROM signer.ledger JOIN signer.attestations ON id = attestation_id
               ORDER BY entry DESC LIMIT $1";
        let rows = conn.all(sql, &[&integer(limit)]).await?;
        let read = rows.iter().map(|row| {
            Ok(SignedLater {
                created_at: row.time("created_at")?,
                signed_at: row.time("made_at")?,
            })
        });
        read.collect()
    }
}

async fn waiting(conn: &Conn, filter: &WaitingFilter) -> Result<Vec<Waiting>> {
    let sql = "SELECT id, pae, profile, created_at, last_attempt_at FROM signer.attestations
               WHERE state <> 'signed' AND state = ANY($1)
                 AND ($2::timestamptz IS NULL OR next_attempt_at IS NULL OR next_attempt_at <= $2)
                 AND ($3::uuid IS NULL OR id > $3)
                 AND NOT EXISTS (SELECT FROM signer.signing_claims
                                 WHERE attestation_id = id AND expires_at > $4)
               ORDER BY id LIMIT $5";
    let params: [&(dyn ToSql + Sync); 5] = [
        &names(&filter.states),
        &filter.due_by.map(At),
        &filter.after.map(|id| id.0),
        &At(filter.now),
        &integer(filter.limit),
    ];
    let rows = conn.all(sql, &params).await?;
    let read = rows.iter().map(|row| {
        Ok(Waiting {
            id: AttestationId(row.id("id")?),
            pae: row.digest("pae")?,
            profile: row.parsed_or_null("profile")?,
            created_at: row.time("created_at")?,
            last_attempt_at: row.time_or_null("last_attempt_at")?,
        })
    });
    read.collect()
}

async fn claim(conn: &Conn, claiming: &Claiming) -> Result<Vec<Claimed>> {
    let sql = "SELECT * FROM signer.attestations
               WHERE id = ANY($1) AND state = ANY($2)
                 AND ($3::timestamptz IS NULL OR next_attempt_at IS NULL OR next_attempt_at <= $3)
                 AND NOT EXISTS (SELECT FROM signer.signing_claims
                                 WHERE attestation_id = id AND expires_at > $4)
               ORDER BY id FOR UPDATE SKIP LOCKED";
    let asked: Vec<Uuid> = claiming.attestations.iter().map(|id| id.0).collect();
    let due_by = claiming.due_by.map(At);
    let params: [&(dyn ToSql + Sync); 4] = [&asked, &names(&claiming.states), &due_by, &At(claiming.now)];
    let found = conn.all(sql, &params).await?;
    let found: Result<Vec<_>> = rows::read(conn, &found).await?.into_iter().collect();
    let mut claimed = Vec::new();
    for row in found? {
        let sql = "INSERT INTO signer.signing_claims (attestation_id, replica, expires_at)
                   VALUES ($1, $2, $3)
                   ON CONFLICT (attestation_id) DO UPDATE
                   SET replica = excluded.replica, expires_at = excluded.expires_at, fence = DEFAULT
                   RETURNING fence";
        let params: [&(dyn ToSql + Sync); 3] = [&row.id.0, &claiming.replica, &At(claiming.until)];
        if let Some(answer) = conn.first(sql, &params).await? {
            let claim = Claim {
                attestation: row.id,
                fence: answer.count("fence")?,
            };
            claimed.push(Claimed { claim, row });
        }
    }
    Ok(claimed)
}

async fn store_signature(commit: &mut Commit, claim: Claim, signed: &Signed) -> Result<SignatureStored> {
    let sql = "SELECT state FROM signer.attestations WHERE id = $1";
    let Some(row) = commit.conn.first(sql, &[&claim.attestation.0]).await? else {
        return Ok(SignatureStored::NotFound);
    };
    if row.column::<&str>("state")? == "signed" {
        return Ok(SignatureStored::AlreadySigned);
    }
    if !stands(&commit.conn, claim).await? {
        return Ok(SignatureStored::ClaimLost);
    }
    match moved(&commit.conn, signed).await? {
        Moved::Nothing => {}
        Moved::Key => return Ok(SignatureStored::KeyMoved),
        Moved::Head => return Ok(SignatureStored::HeadMoved),
    }
    let sql = "UPDATE signer.attestations
               SET state = 'signed', envelope = $2, key_id = $3, signed_at = $4, next_attempt_at = NULL
               WHERE id = $1";
    let key = signed.by.as_ref().map(|by| by.key_id.as_str());
    let params: [&(dyn ToSql + Sync); 4] = [
        &claim.attestation.0,
        &signed.envelope,
        &key,
        &At(signed.recorded_at),
    ];
    commit.conn.execute(sql, &params).await?;
    enter(commit, claim.attestation, signed).await?;
    give_back(&commit.conn, &[claim]).await?;
    Ok(SignatureStored::Done)
}

/// Late news of a failure does not touch what is signed, or others try now.
async fn note_attempt(conn: &Conn, claim: Claim, attempt: &Attempt) -> Result<AttemptNoted> {
    let state = unsigned(attempt)?.as_str();
    if !stands(conn, claim).await? {
        return Ok(AttemptNoted::ClaimLost);
    }
    let sql = "UPDATE signer.attestations
               SET state = $2, attempts = attempts + 1, last_error = $3, last_attempt_at = $4,
                   next_attempt_at = $5
               WHERE id = $1 AND state <> 'signed'";
    let (at, next_at) = (At(attempt.at), attempt.next_at.map(At));
    let params: [&(dyn ToSql + Sync); 5] = [&claim.attestation.0, &state, &attempt.error, &at, &next_at];
    conn.execute(sql, &params).await?;
    give_back(conn, &[claim]).await?;
    Ok(AttemptNoted::Done)
}

/// Whether nobody else took it since.
async fn stands(conn: &Conn, claim: Claim) -> Result<bool> {
    let sql = "SELECT 1 FROM signer.signing_claims WHERE attestation_id = $1 AND fence = $2";
    let found = conn
        .first(sql, &[&claim.attestation.0, &integer(claim.fence)])
        .await?;
    Ok(found.is_some())
}

async fn give_back(conn: &Conn, claims: &[Claim]) -> Result<()> {
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.attestation.0).collect();
    let fences: Vec<i64> = claims.iter().map(|claim| integer(claim.fence)).collect();
    let sql = "DELETE FROM signer.signing_claims
               WHERE (attestation_id, fence) IN (SELECT * FROM unnest($1::uuid[], $2::bigint[]))";
    conn.execute(sql, &[&ids, &fences]).await?;
    Ok(())
}

fn names(states: &[AttestationState]) -> Vec<&'static str> {
    states.iter().map(|state| state.as_str()).collect()
}
