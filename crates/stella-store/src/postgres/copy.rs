//! All rows of a SQLite database, taken over in one transaction.

use std::path::Path;

use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::conn::Conn;
use super::row::Columns as _;
use super::{PostgresStore, writer};
use crate::sqlite::rows::{self, Value};
use crate::{Result, StoreError};

/// In an order in which nothing refers to what is not there yet. `meta` is a
/// database's own.
const TABLES: [&str; 17] = [
    "key_audit_log",
    "event_chain",
    "trust_anchors",
    "key_history",
    "signing_keys",
    "sealed_keys",
    "attestations",
    "attestation_subjects",
    "ledger",
    "idempotency",
    "verdicts",
    "rescans",
    "proofs",
    "proof_parts",
    "tokens",
    "refused_pins",
    "unanswered_logins",
];

/// Its lines are numbered anew, in their order.
const LOG: &str = "operations_log";

/// What a database has that somebody uses.
const IN_USE: &str = "SELECT EXISTS (SELECT FROM signer.key_audit_log)
    OR EXISTS (SELECT FROM signer.attestations) OR EXISTS (SELECT FROM signer.tokens)";

/// How many rows of a table were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub table: &'static str,
    pub rows: u64,
}

impl PostgresStore {
    /// Whether anything is kept in it yet.
    pub async fn is_in_use(&self) -> Result<bool> {
        let conn = self.readers.reader().await?;
        Ok(conn.first(IN_USE, &[]).await?.is_some_and(|row| row.get(0)))
    }

    /// Copies everything that is in the SQLite database at `from`, which
    /// nobody changes meanwhile, into this one, in which there is nothing.
    /// Each row is compared with what PostgreSQL has made of it.
    pub async fn copy_sqlite(&self, from: &Path) -> Result<Vec<Copied>> {
        let conn = Conn::open(&self.target).await?;
        conn.batch(writer::BEGIN).await?;
        if conn.first(IN_USE, &[]).await?.is_some_and(|row| row.get(0)) {
            return Err(StoreError::Unavailable(format!(
                "{} is in use already; copy into an empty database",
                self.target.place()
            )));
        }
        let mut copied = Vec::new();
        for table in TABLES.into_iter().chain([LOG]) {
            let columns = columns(&conn, table).await?;
            let rows = copy(&conn, from, table, &columns).await?;
            copied.push(Copied { table, rows });
        }
        conn.commit().await?;
        Ok(copied)
    }
}

struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Bytes,
    Flag,
    Uuid,
    Time,
    /// Compared as a value.
    Json(&'static str),
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "int8" | "int4" => Self::Integer,
            "bytea" => Self::Bytes,
            "bool" => Self::Flag,
            "uuid" => Self::Uuid,
            "timestamptz" => Self::Time,
            "json" => Self::Json("json"),
            "jsonb" => Self::Json("jsonb"),
            _ => return None,
        })
    }

    /// From what SQLite has.
    fn written(self, n: usize) -> String {
        match self {
            Self::Text => format!("${n}::text"),
            Self::Integer => format!("${n}::bigint"),
            Self::Bytes => format!("${n}::bytea"),
            Self::Flag => format!("${n}::bigint <> 0"),
            Self::Uuid => format!("${n}::text::uuid"),
            Self::Time => format!("${n}::text::timestamptz"),
            Self::Json(kind) => format!("${n}::text::{kind}"),
        }
    }

    /// As SQLite has it.
    fn read(self, column: &str) -> String {
        match self {
            Self::Text | Self::Bytes => column.to_owned(),
            Self::Integer => format!("{column}::bigint"),
            Self::Flag => format!("{column}::int::bigint"),
            Self::Uuid | Self::Json(_) => format!("{column}::text"),
            Self::Time => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            }
        }
    }
}

async fn columns(conn: &Conn, table: &str) -> Result<Vec<Column>> {
    let sql = "SELECT column_name::text AS name, udt_name::text AS kind FROM information_schema.columns
               WHERE table_schema = 'signer' AND table_name = $1 AND is_identity = 'NO'
               ORDER BY ordinal_position";
    let rows = conn.all(sql, &[&table]).await?;
    let column = |row: &Row| {
        let (name, kind): (String, String) = (row.column("name")?, row.column("kind")?);
        let known = Kind::of(&kind);
        let kind = known.ok_or_else(|| StoreError::Corrupt(format!("{table}.{name} is of type {kind}")))?;
        Ok(Column { name, kind })
    };
    rows.iter().map(column).collect()
}

async fn copy(conn: &Conn, from: &Path, table: &'static str, columns: &[Column]) -> Result<u64> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let written: Vec<String> = columns.iter().zip(1..).map(|(c, n)| c.kind.written(n)).collect();
    let read: Vec<String> = columns.iter().map(|c| c.kind.read(&c.name)).collect();
    let sql = format!(
        "INSERT INTO signer.{table} ({}) VALUES ({}) RETURNING {}",
        names.join(", "),
        written.join(", "),
        read.join(", ")
    );
    let order = (table == LOG).then_some("line");
    let mut source: mpsc::Receiver<Result<Vec<Value>>> = rows::stream(from, table, names, order);
    let mut copied = 0;
    while let Some(row) = source.recv().await {
        let row = row?;
        insert(conn, &sql, columns, &row)
            .await
            .map_err(|e| at(table, copied + 1, e))?;
        copied += 1;
    }
    Ok(copied)
}

async fn insert(conn: &Conn, sql: &str, columns: &[Column], row: &[Value]) -> Result<()> {
    let params: Vec<Box<dyn ToSql + Sync + Send>> = columns
        .iter()
        .zip(row)
        .map(|(column, value)| param(column, value))
        .collect::<Result<_>>()?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p.as_ref() as _).collect();
    let stored = conn.first(sql, &params).await?;
    let stored = stored.ok_or_else(|| StoreError::Corrupt("a row was not stored".into()))?;
    for ((n, column), value) in columns.iter().enumerate().zip(row) {
        if !is_same(column.kind, value, &stored, n)? {
            return Err(StoreError::Corrupt(format!(
                "{} came back as another value",
                column.name
            )));
        }
    }
    Ok(())
}

fn param(column: &Column, value: &Value) -> Result<Box<dyn ToSql + Sync + Send>> {
    let integer = matches!(column.kind, Kind::Integer | Kind::Flag);
    Ok(match (column.kind, value) {
        (Kind::Bytes, Value::Null) => Box::new(None::<Vec<u8>>),
        (_, Value::Null) if integer => Box::new(None::<i64>),
        (_, Value::Null) => Box::new(None::<String>),
        (Kind::Bytes, Value::Blob(bytes)) => Box::new(bytes.clone()),
        (_, Value::Integer(number)) if integer => Box::new(*number),
        (_, Value::Text(text)) if !integer && column.kind != Kind::Bytes => Box::new(text.clone()),
        _ => {
            return Err(StoreError::Corrupt(format!(
                "{} has a value of another type",
                column.name
            )));
        }
    })
}

fn is_same(kind: Kind, value: &Value, stored: &Row, n: usize) -> Result<bool> {
    Ok(match kind {
        Kind::Bytes => stored.try_get::<_, Option<&[u8]>>(n)? == blob(value),
        Kind::Integer | Kind::Flag => stored.try_get::<_, Option<i64>>(n)? == integer(value),
        Kind::Json(_) => parsed(stored.try_get(n)?)? == parsed(text(value))?,
        Kind::Text | Kind::Uuid | Kind::Time => stored.try_get::<_, Option<&str>>(n)? == text(value),
    })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn blob(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn parsed(text: Option<&str>) -> Result<Option<Json>> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Which row it was, said with what was wrong with it.
fn at(table: &str, row: u64, error: StoreError) -> StoreError {
    let named = |why: String| format!("row {row} of {table}: {why}");
    match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(named(why)),
        StoreError::Unstorable(why) => StoreError::Unstorable(named(why)),
        other => other,
    }
}
