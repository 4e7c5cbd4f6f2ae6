//! Describing, checking and mending the store.

use std::path::Path;

use async_trait::async_trait;
use stella_core::trust::TrustState;

use super::{PostgresStore, events, projections, schema, verify};
use crate::{Result, StoreDescription, StoreError, Upkeep, VerifyReport};

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
        let conn = super::Conn::open(&self.target).await?;
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
}
