//! What was judged, and what is to be judged anew.

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use stella_core::id::{AnchorId, AttestationId, KeyId};

use super::SqliteStore;
use super::row::{Columns, all, execute, integer};
use crate::{RescanRow, Result, VerdictCounts, VerdictRow, VerdictStore};

#[async_trait]
impl VerdictStore for SqliteStore {
    async fn note_verdicts(&self, verdicts: Vec<VerdictRow>) -> Result<()> {
        self.writer
            .write(move |commit| verdicts.iter().try_for_each(|v| note_verdict(commit.conn, v)))
            .await
    }

    async fn verdict_counts(&self, anchor: AnchorId, policy_version: &str) -> Result<VerdictCounts> {
        let version = policy_version.to_owned();
        self.readers
            .read(move |conn| {
                let sql = "SELECT policy_version = ?2 AS current, verdict, count(*) AS rows
                           FROM signer.verdicts WHERE anchor_id = ?1 GROUP BY 1, 2";
                let rows = all(conn, sql, (anchor.to_string(), &version), |row| {
                    let (current, verdict): (bool, String) = (row.get("current")?, row.get("verdict")?);
                    Ok((current, verdict, row.count("rows")?))
                })?;
                Ok(VerdictCounts::of(rows))
            })
            .await
    }

    async fn stale_verdicts(
        &self,
        anchor: AnchorId,
        policy_version: &str,
        after: Option<AttestationId>,
        limit: usize,
    ) -> Result<Vec<VerdictRow>> {
        let version = policy_version.to_owned();
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        self.readers
            .read(move |conn| {
                let sql = "SELECT * FROM signer.verdicts
                           WHERE anchor_id = ?1 AND attestation_id > ?2 AND policy_version <> ?3
                           ORDER BY attestation_id LIMIT ?4";
                let params = (anchor.to_string(), &after, &version, integer(limit));
                all(conn, sql, params, verdict)
            })
            .await
    }

    async fn rescans(&self) -> Result<Vec<RescanRow>> {
        self.readers
            .read(|conn| {
                all(conn, "SELECT * FROM signer.rescans ORDER BY key_id", [], |row| {
                    Ok(RescanRow {
                        key_id: row.parsed("key_id")?,
                        event: row.count("event")?,
                        imports: row.get("imports")?,
                        before: row.parsed_or_null("before_id")?,
                        judged: row.count("judged")?,
                        flipped: row.count("flipped")?,
                        began_at: row.parsed("began_at")?,
                        ended_at: row.parsed_or_null("ended_at")?,
                    })
                })
            })
            .await
    }

    async fn note_rescan(&self, rescan: RescanRow, verdicts: Vec<VerdictRow>) -> Result<()> {
        self.writer
            .write(move |commit| {
                verdicts.iter().try_for_each(|v| note_verdict(commit.conn, v))?;
                execute(
                    commit.conn,
                    "INSERT INTO signer.rescans
                     (key_id, event, imports, before_id, judged, flipped, began_at, ended_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                     ON CONFLICT (key_id) DO UPDATE
                     SET event = excluded.event, imports = excluded.imports,
                         before_id = excluded.before_id, judged = excluded.judged,
                         flipped = excluded.flipped, began_at = excluded.began_at,
                         ended_at = excluded.ended_at
                     WHERE excluded.event >= rescans.event",
                    (
                        rescan.key_id.to_string(),
                        integer(rescan.event),
                        rescan.imports,
                        rescan.before.map(|id| id.to_string()),
                        integer(rescan.judged),
                        integer(rescan.flipped),
                        rescan.began_at.fixed_width(),
                        rescan.ended_at.map(|at| at.fixed_width()),
                    ),
                )?;
                Ok(())
            })
            .await
    }

    async fn signed_before(&self, key: &KeyId, before: Option<AttestationId>) -> Result<u64> {
        let key = key.to_string();
        // Every id is before this one.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        self.readers
            .read(move |conn| {
                let sql = "SELECT count(*) AS rows FROM signer.attestations WHERE key_id = ?1 AND id < ?2";
                let counted = all(conn, sql, (&key, &before), |row| row.count("rows"))?;
                Ok(counted.into_iter().sum())
            })
            .await
    }
}

fn verdict(row: &Row<'_>) -> Result<VerdictRow> {
    Ok(VerdictRow {
        anchor: row.parsed("anchor_id")?,
        attestation: row.parsed("attestation_id")?,
        policy_version: row.get("policy_version")?,
        verdict: row.get("verdict")?,
        code: row.get("code")?,
        at: row.parsed("at")?,
    })
}

fn note_verdict(conn: &Connection, verdict: &VerdictRow) -> Result<()> {
    execute(
        conn,
        "INSERT INTO signer.verdicts (anchor_id, attestation_id, policy_version, verdict, code, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (anchor_id, attestation_id) DO UPDATE
         SET policy_version = excluded.policy_version, verdict = excluded.verdict,
             code = excluded.code, at = excluded.at
         WHERE excluded.at >= verdicts.at",
        (
            verdict.anchor.to_string(),
            verdict.attestation.to_string(),
            &verdict.policy_version,
            &verdict.verdict,
            &verdict.code,
            verdict.at.fixed_width(),
        ),
    )?;
    Ok(())
}
