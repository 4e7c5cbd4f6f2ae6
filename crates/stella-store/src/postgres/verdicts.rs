//! What was judged, and what is to be judged anew.

use async_trait::async_trait;
use stella_core::id::{AnchorId, AttestationId, KeyId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::Conn;
use super::row::{At, Columns, integer, parse};
use crate::{RescanRow, Result, VerdictCounts, VerdictRow, VerdictStore};

#[async_trait]
impl VerdictStore for PostgresStore {
    async fn note_verdicts(&self, verdicts: Vec<VerdictRow>) -> Result<()> {
        self.writer
            .write(verdicts, |commit, verdicts| {
                Box::pin(note_all(&commit.conn, verdicts))
            })
            .await
    }

    async fn verdict_counts(&self, anchor: AnchorId, policy_version: &str) -> Result<VerdictCounts> {
        let sql = "SELECT policy_version = $2 AS current, verdict, count(*) AS rows
                   FROM signer.verdicts WHERE anchor_id = $1 GROUP BY 1, 2";
        let conn = self.readers.reader().await?;
        let rows = conn.all(sql, &[&anchor.0, &policy_version]).await?;
        let read = rows.iter().map(|row| {
            let (current, verdict): (bool, String) = (row.column("current")?, row.column("verdict")?);
            Ok((current, verdict, row.count("rows")?))
        });
        Ok(VerdictCounts::of(read.collect::<Result<Vec<_>>>()?))
    }

    async fn stale_verdicts(
        &self,
        anchor: AnchorId,
        policy_version: &str,
        after: Option<AttestationId>,
        limit: usize,
    ) -> Result<Vec<VerdictRow>> {
        let sql = "SELECT * FROM signer.verdicts
                   WHERE anchor_id = $1 AND attestation_id > $2 AND policy_version <> $3
                   ORDER BY attestation_id LIMIT $4";
        let after = after.map_or(Uuid::nil(), |id| id.0);
        let conn = self.readers.reader().await?;
        let params: [&(dyn ToSql + Sync); 4] = [&anchor.0, &after, &policy_version, &integer(limit)];
        conn.all(sql, &params).await?.iter().map(verdict).collect()
    }

    async fn rescans(&self) -> Result<Vec<RescanRow>> {
        let conn = self.readers.reader().await?;
        let rows = conn
            .all("SELECT * FROM signer.rescans ORDER BY key_id", &[])
            .await?;
        let read = rows.iter().map(|row| {
            let before: Option<Uuid> = row.column("before_id")?;
            Ok(RescanRow {
                key_id: parse("key_id", row.column("key_id")?)?,
                event: row.count("event")?,
                imports: row.column("imports")?,
                before: before.map(AttestationId),
                judged: row.count("judged")?,
                flipped: row.count("flipped")?,
                began_at: row.time("began_at")?,
                ended_at: row.time_or_null("ended_at")?,
            })
        });
        read.collect()
    }

    async fn note_rescan(&self, rescan: RescanRow, verdicts: Vec<VerdictRow>) -> Result<()> {
        self.writer
            .write((rescan, verdicts), |commit, (rescan, verdicts)| {
                Box::pin(async move {
                    note_all(&commit.conn, verdicts).await?;
                    note_rescan(&commit.conn, rescan).await
                })
            })
            .await
    }

    async fn signed_before(&self, key: &KeyId, before: Option<AttestationId>) -> Result<u64> {
        let sql = "SELECT count(*) AS rows FROM signer.attestations WHERE key_id = $1 AND id < $2";
        let before = before.map_or(Uuid::max(), |id| id.0);
        let conn = self.readers.reader().await?;
        let rows = conn.all(sql, &[&key.to_string(), &before]).await?;
        rows.iter().map(|row| row.count("rows")).sum()
    }
}

async fn note_all(conn: &Conn, verdicts: &[VerdictRow]) -> Result<()> {
    for verdict in verdicts {
        note_verdict(conn, verdict).await?;
    }
    Ok(())
}

async fn note_rescan(conn: &Conn, rescan: &RescanRow) -> Result<()> {
    let sql = "INSERT INTO signer.rescans AS noted
               (key_id, event, imports, before_id, judged, flipped, began_at, ended_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (key_id) DO UPDATE
               SET event = excluded.event, imports = excluded.imports,
                   before_id = excluded.before_id, judged = excluded.judged,
                   flipped = excluded.flipped, began_at = excluded.began_at,
                   ended_at = excluded.ended_at
               WHERE excluded.event >= noted.event";
    let params: [&(dyn ToSql + Sync); 8] = [
        &rescan.key_id.to_string(),
        &integer(rescan.event),
        &rescan.imports,
        &rescan.before.map(|id| id.0),
        &integer(rescan.judged),
        &integer(rescan.flipped),
        &At(rescan.began_at),
        &rescan.ended_at.map(At),
    ];
    conn.execute(sql, &params).await?;
    Ok(())
}

fn verdict(row: &Row) -> Result<VerdictRow> {
    Ok(VerdictRow {
        anchor: AnchorId(row.id("anchor_id")?),
        attestation: AttestationId(row.id("attestation_id")?),
        policy_version: row.column("policy_version")?,
        verdict: row.column("verdict")?,
        code: row.column("code")?,
        at: row.time("at")?,
    })
}

async fn note_verdict(conn: &Conn, verdict: &VerdictRow) -> Result<()> {
    let sql = "INSERT INTO signer.verdicts AS noted
               (anchor_id, attestation_id, policy_version, verdict, code, at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (anchor_id, attestation_id) DO UPDATE
               SET policy_version = excluded.policy_version, verdict = excluded.verdict,
                   code = excluded.code, at = excluded.at
               WHERE excluded.at >= noted.at";
    let params: [&(dyn ToSql + Sync); 6] = [
        &verdict.anchor.0,
        &verdict.attestation.0,
        &verdict.policy_version,
        &verdict.verdict,
        &verdict.code,
        &At(verdict.at),
    ];
    conn.execute(sql, &params).await?;
    Ok(())
}
