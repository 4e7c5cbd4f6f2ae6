//! The operations log.

use async_trait::async_trait;
use stella_core::time::Timestamp;

use super::events::number;
use super::rows::{collect, json, parsed, text};
use super::{SqliteStore, failed};
use crate::{LogFilter, LogRow, LogStore, Result};

#[async_trait]
impl LogStore for SqliteStore {
    async fn log(&self, lines: Vec<LogRow>) -> Result<()> {
        self.write("log", move |c, _| {
            let mut insert = c
                .prepare_cached("INSERT INTO signer.operations_log (at, level, component, message, fields) VALUES (?1, ?2, ?3, ?4, ?5)")
                .map_err(failed)?;
            for line in &lines {
                insert
                    .execute((line.at.fixed_width(), &line.level, &line.component, &line.message, line.fields.to_string()))
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await
    }

    async fn read_log(&self, filter: LogFilter) -> Result<Vec<LogRow>> {
        self.read("read log", move |c| {
            let worst = filter.level.as_deref().map(severity);
            let sql = "SELECT * FROM signer.operations_log
                WHERE (?1 IS NULL OR (CASE level WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END) <= ?1)
                  AND (?2 IS NULL OR at >= ?2)
                  AND (?3 IS NULL OR instr(lower(component || ' ' || message), lower(?3)) > 0)
                ORDER BY row DESC LIMIT ?4";
            let since = filter.since.map(|t| t.fixed_width());
            collect(
                c,
                sql,
                (worst, since, filter.contains.as_deref(), number(filter.limit)),
                |row| {
                    Ok(LogRow {
                        at: parsed(row, "at")?,
                        level: text(row, "level")?,
                        component: text(row, "component")?,
                        message: text(row, "message")?,
                        fields: json(row, "fields")?,
                    })
                },
            )
        })
        .await
    }

    async fn trim_log(&self, before: Timestamp) -> Result<u64> {
        self.write("trim log", move |c, _| {
            let gone = c
                .execute(
                    "DELETE FROM signer.operations_log WHERE at < ?1",
                    [before.fixed_width()],
                )
                .map_err(failed)?;
            Ok(u64::try_from(gone).unwrap_or(u64::MAX))
        })
        .await
    }
}

fn severity(level: &str) -> i64 {
    match level {
        "error" => 0,
        "warn" => 1,
        _ => 2,
    }
}
