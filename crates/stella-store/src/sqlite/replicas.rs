//! The servers that share this store.

use async_trait::async_trait;
use stella_core::time::Timestamp;
use uuid::Uuid;

use super::SqliteStore;
use super::row::{Columns, all, execute, json_text};
use crate::{ReplicaRow, ReplicaStore, Result};

#[async_trait]
impl ReplicaStore for SqliteStore {
    async fn note_replica(&self, replica: ReplicaRow, forget_before: Timestamp) -> Result<()> {
        self.writer
            .write(move |commit| {
                execute(
                    commit.conn,
                    "DELETE FROM signer.replicas WHERE seen_at < ?1",
                    [forget_before.fixed_width()],
                )?;
                execute(
                    commit.conn,
                    "INSERT INTO signer.replicas (name, process, version, settings, unable, started_at, seen_at, url)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                     ON CONFLICT (name) DO UPDATE
                     SET process = excluded.process, version = excluded.version,
                         settings = excluded.settings, unable = excluded.unable,
                         started_at = excluded.started_at, seen_at = excluded.seen_at,
                         url = excluded.url",
                    (
                        &replica.name,
                        replica.process.to_string(),
                        &replica.version,
                        json_text(&replica.settings)?,
                        json_text(&replica.unable)?,
                        replica.started_at.fixed_width(),
                        replica.seen_at.fixed_width(),
                        &replica.url,
                    ),
                )?;
                Ok(())
            })
            .await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>> {
        self.readers
            .read(|conn| {
                all(conn, "SELECT * FROM signer.replicas ORDER BY name", [], |row| {
                    Ok(ReplicaRow {
                        name: row.get("name")?,
                        process: row.parsed("process")?,
                        version: row.get("version")?,
                        settings: row.json("settings")?,
                        unable: row.json("unable")?,
                        url: row.get("url")?,
                        started_at: row.parsed("started_at")?,
                        seen_at: row.parsed("seen_at")?,
                    })
                })
            })
            .await
    }

    async fn forget_replica(&self, name: &str, process: Uuid) -> Result<()> {
        let name = name.to_owned();
        self.writer
            .write(move |commit| {
                let sql = "DELETE FROM signer.replicas WHERE name = ?1 AND process = ?2";
                execute(commit.conn, sql, (&name, process.to_string()))?;
                Ok(())
            })
            .await
    }
}
