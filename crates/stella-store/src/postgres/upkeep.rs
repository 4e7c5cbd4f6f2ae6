//! Describing, checking and mending the store.

use std::path::Path;

use async_trait::async_trait;
use stella_core::trust::TrustState;

use super::conn::Conn;
use super::row::Columns;
use super::{PostgresStore, events, projections, schema, verify};
use crate::{Lead, Result, StoreDescription, StoreError, Upkeep, VerifyReport};

#[async_trait]
impl Upkeep for PostgresStore {
    async fn describe(&self) -> Result<StoreDescription> {
        let conn = self.readers.reader().await?;
        Ok(StoreDescription {
            driver: "postgresql",
            place: self.target.place().to_owned(),
            schema_version: schema::expect_usable(&conn, schema::MIGRATIONS).await?,
            head: events::head(&conn).await?,
        })
    }

    /// On a connection of its own, which ends with the snapshot.
    async fn verify(&self) -> Result<VerifyReport> {
        let conn = Conn::open(&self.target).await?;
        conn.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0")
            .await?;
        let report = verify::report(&conn).await;
        // Not left open until the connection has closed: it holds locks.
        conn.batch("ROLLBACK").await?;
        Ok(report)
    }

    async fn snapshot(&self, _: &Path) -> Result<bool> {
        Ok(false)
    }

    async fn rebuild_projections(&self) -> Result<()> {
        self.writer
            .write((), |commit, ()| {
                Box::pin(async move {
                    let events = events::events_after(&commit.conn, 0, usize::MAX).await?;
                    let state = TrustState::fold(&events).map_err(|e| StoreError::Corrupt(e.to_string()))?;
                    projections::write_all(&commit.conn, &state).await
                })
            })
            .await
    }

    async fn probe(&self) -> Result<()> {
        self.writer
            .write((), |commit, ()| {
                let sql = "INSERT INTO signer.meta AS kept (key, value) VALUES ('probe', '1')
                           ON CONFLICT (key) DO UPDATE SET value = (kept.value::bigint + 1)::text";
                Box::pin(async move {
                    commit.conn.execute(sql, &[]).await?;
                    Ok(())
                })
            })
            .await
    }

    /// An advisory lock of a session of its own: whoever loses the connection
    /// loses the lead.
    async fn lead(&self, duty: &str) -> Result<Option<Box<dyn Lead>>> {
        let conn = Conn::open(&self.target).await?;
        let sql = "SELECT pg_try_advisory_lock(6004796, hashtext($1)) AS leads";
        let row = conn.first(sql, &[&duty]).await?;
        let leads = row.map(|row| row.column("leads")).transpose()?;
        Ok(match leads {
            Some(true) => Some(Box::new(Leading(conn))),
            _ => None,
        })
    }
}

struct Leading(Conn);

#[async_trait]
impl Lead for Leading {
    async fn stands(&self) -> bool {
        self.0.is_sound() && self.0.batch("SELECT 1").await.is_ok()
    }
}
