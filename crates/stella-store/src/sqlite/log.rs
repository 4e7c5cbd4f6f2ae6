//! The operations log.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use stella_core::time::Timestamp;

use super::SqliteStore;
use super::row::{Columns, all, execute, integer, json_text};
use crate::{LogFilter, LogRow, LogStore, Result};

#[async_trait]
impl LogStore for SqliteStore {
    async fn log(&self, lines: Vec<LogRow>) -> Result<()> {
        self.writer
            .write(move |commit| lines.iter().try_for_each(|line| insert(commit.conn, line)))
            .await
    }

    async fn read_log(&self, filter: LogFilter) -> Result<Vec<LogRow>> {
        self.readers.read(move |conn| read(conn, &filter)).await
    }

    async fn trim_log(&self, before: Timestamp) -> Result<u64> {
        self.writer
            .write(move |commit| {
                let sql = "DELETE FROM signer.operations_log WHERE at < ?1";
                Ok(execute(commit.conn, sql, [before.fixed_width()])? as u64)
            })
            .await
    }
}

fn insert(conn: &Connection, line: &LogRow) -> Result<()> {
    execute(
        conn,
        "INSERT INTO signer.operations_log (at, level, component, message, fields, folded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            line.at.fixed_width(),
            &line.level,
            &line.component,
            &line.message,
            json_text(&line.fields)?,
            format!("{}\n{}", line.component, line.message).to_lowercase(),
        ),
    )?;
    Ok(())
}

/// Newest first.
fn read(conn: &Connection, filter: &LogFilter) -> Result<Vec<LogRow>> {
    let mut sql = String::from("SELECT * FROM signer.operations_log WHERE TRUE");
    let mut values: Vec<Value> = Vec::new();
    if let Some(level) = &filter.level {
        let levels = LogFilter::this_and_worse(level);
        sql.push_str(&format!(" AND level IN ({})", vec!["?"; levels.len()].join(", ")));
        values.extend(levels.into_iter().map(|l| l.to_owned().into()));
    }
    if let Some(since) = filter.since {
        sql.push_str(" AND at >= ?");
        values.push(since.fixed_width().into());
    }
    if let Some(contains) = &filter.contains {
        sql.push_str(" AND instr(folded, ?) > 0");
        values.push(contains.to_lowercase().into());
    }
    sql.push_str(" ORDER BY at DESC, line DESC LIMIT ?");
    values.push(integer(filter.limit).into());
    all(conn, &sql, params_from_iter(values), |row| {
        Ok(LogRow {
            at: row.parsed("at")?,
            level: row.get("level")?,
            component: row.get("component")?,
            message: row.get("message")?,
            fields: row.json("fields")?,
        })
    })
}
