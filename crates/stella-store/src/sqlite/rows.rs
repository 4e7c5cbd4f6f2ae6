//! Whole tables as they are, and the mark of a database that moved away.

use std::path::Path;

use rusqlite::Connection;
pub(crate) use rusqlite::types::Value;
use tokio::sync::mpsc;

use super::row::{execute, first};
use super::{OpenOptions, SqliteStore, attach};
use crate::{Result, StoreError};

/// Rows on their way.
const AHEAD: usize = 64;

/// Each row's columns in this order, read while the receiver takes them.
pub(crate) fn stream(
    path: &Path,
    table: &'static str,
    columns: Vec<String>,
    order: Option<&'static str>,
) -> mpsc::Receiver<Result<Vec<Value>>> {
    let (to, rows) = mpsc::channel(AHEAD);
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        if let Err(e) = send(&path, table, &columns, order, &to) {
            // Nobody listens any more where that was why it ended.
            let _ = to.blocking_send(Err(e));
        }
    });
    rows
}

fn send(
    path: &Path,
    table: &str,
    columns: &[String],
    order: Option<&str>,
    to: &mpsc::Sender<Result<Vec<Value>>>,
) -> Result<()> {
    let conn = attach(path, &OpenOptions::default())?;
    let order = order
        .map(|column| format!(" ORDER BY {column}"))
        .unwrap_or_default();
    let sql = format!("SELECT {} FROM signer.{table}{order}", columns.join(", "));
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|n| row.get(n));
        let values = values.collect::<rusqlite::Result<Vec<Value>>>()?;
        if to.blocking_send(Ok(values)).is_err() {
            break;
        }
    }
    Ok(())
}

impl SqliteStore {
    /// From now on nobody opens it but who moves it to the same place.
    pub async fn leave_for(&self, place: &str) -> Result<()> {
        let place = place.to_owned();
        self.writer
            .write(move |commit| {
                let sql = "INSERT INTO signer.meta (key, value) VALUES ('moved_to', ?1)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                execute(commit.conn, sql, [&place])?;
                Ok(())
            })
            .await
    }

    /// The move was given up.
    pub async fn stay(&self) -> Result<()> {
        self.writer
            .write(|commit| {
                execute(commit.conn, "DELETE FROM signer.meta WHERE key = 'moved_to'", [])?;
                Ok(())
            })
            .await
    }
}

pub(super) fn expect_not_moved(conn: &Connection, options: &OpenOptions) -> Result<()> {
    let sql = "SELECT value FROM signer.meta WHERE key = 'moved_to'";
    match first(conn, sql, [], |row| Ok(row.get::<_, String>("value")?))? {
        Some(place) if options.leaving_for.as_ref() != Some(&place) => Err(StoreError::Moved(place)),
        _ => Ok(()),
    }
}
