//! The servers that share this store.

use async_trait::async_trait;
use stella_core::time::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::conn::Conn;
use super::row::{At, Columns};
use crate::{ReplicaRow, ReplicaStore, Result};

#[async_trait]
impl ReplicaStore for PostgresStore {
    async fn note_replica(&self, replica: ReplicaRow, forget_before: Timestamp) -> Result<()> {
        self.writer
            .write((replica, forget_before), |commit, (replica, forget_before)| {
                Box::pin(note(&commit.conn, replica, *forget_before))
            })
            .await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>> {
        let conn = self.readers.reader().await?;
        let rows = conn
            .all("SELECT * FROM signer.replicas ORDER BY name", &[])
            .await?;
        let read = rows.iter().map(|row| {
            Ok(ReplicaRow {
                name: row.column("name")?,
                process: row.id("process")?,
                version: row.column("version")?,
                settings: row.json("settings")?,
                unable: row.json("unable")?,
                url: row.column("url")?,
                started_at: row.time("started_at")?,
                seen_at: row.time("seen_at")?,
            })
        });
        read.collect()
    }

    async fn forget_replica(&self, name: &str, process: Uuid) -> Result<()> {
        self.writer
            .write((name.to_owned(), process), |commit, (name, process)| {
                Box::pin(async move {
                    let sql = "DELETE FROM signer.replicas WHERE name = $1 AND process = $2";
                    commit.conn.execute(sql, &[name, process]).await?;
                    Ok(())
                })
            })
            .await
    }
}

async fn note(conn: &Conn, replica: &ReplicaRow, forget_before: Timestamp) -> Result<()> {
    let sql = "DELETE FROM signer.replicas WHERE seen_at < $1";
    conn.execute(sql, &[&At(forget_before)]).await?;
    let sql =
        "INSERT INTO signer.replicas (name, process, version, settings, unable, started_at, seen_at, url)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (name) DO UPDATE
               SET process = excluded.process, version = excluded.version,
                   settings = excluded.settings, unable = excluded.unable,
                   started_at = excluded.started_at, seen_at = excluded.seen_at,
                   url = excluded.url";
    let params: [&(dyn ToSql + Sync); 8] = [
        &replica.name,
        &replica.process,
        &replica.version,
        &replica.settings,
        &replica.unable,
        &At(replica.started_at),
        &At(replica.seen_at),
        &replica.url,
    ];
    conn.execute(sql, &params).await?;
    Ok(())
}
