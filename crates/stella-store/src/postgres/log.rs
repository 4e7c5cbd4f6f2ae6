//! The operations log.

use async_trait::async_trait;
use stella_core::time::Timestamp;

use super::PostgresStore;
use super::row::{At, Columns, integer};
use crate::{LogFilter, LogRow, LogStore, Result};

#[async_trait]
impl LogStore for PostgresStore {
    async fn log(&self, lines: Vec<LogRow>) -> Result<()> {
        self.writer
            .write(lines, |commit, lines| {
                Box::pin(async move {
                    for line in lines {
                        let folded = format!("{}\n{}", line.component, line.message).to_lowercase();
                        let sql = "INSERT INTO signer.operations_log
                                   (at, level, component, message, fields, folded)
                                   VALUES ($1, $2, $3, $4, $5, $6)";
                        let (at, fields) = (At(line.at), &line.fields);
                        commit
                            .conn
                            .execute(
                                sql,
                                &[&at, &line.level, &line.component, &line.message, fields, &folded],
                            )
                            .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Newest first.
    async fn read_log(&self, filter: LogFilter) -> Result<Vec<LogRow>> {
        let sql = "SELECT * FROM signer.operations_log
                   WHERE ($1::text[] IS NULL OR level = ANY($1))
                     AND ($2::timestamptz IS NULL OR at >= $2)
                     AND ($3::text IS NULL OR strpos(folded, $3) > 0)
                   ORDER BY at DESC, line DESC LIMIT $4";
        let levels = filter.level.as_deref().map(LogFilter::this_and_worse);
        let contains = filter.contains.as_ref().map(|text| text.to_lowercase());
        let conn = self.readers.reader().await?;
        let rows = conn
            .all(
                sql,
                &[&levels, &filter.since.map(At), &contains, &integer(filter.limit)],
            )
            .await?;
        let read = rows.iter().map(|row| {
            Ok(LogRow {
                at: row.time("at")?,
                level: row.column("level")?,
                component: row.column("component")?,
                message: row.column("message")?,
                fields: row.json("fields")?,
            })
        });
        read.collect()
    }

    async fn trim_log(&self, before: Timestamp) -> Result<u64> {
        self.writer
            .write(At(before), |commit, before| {
                let sql = "DELETE FROM signer.operations_log WHERE at < $1";
                Box::pin(async move { commit.conn.execute(sql, &[before]).await })
            })
            .await
    }
}
