//! Reading rows: every column back into the type it was written from.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::{CachedStatement, Connection, Params, Row};
use serde_json::Value;
use stella_core::digest::Sha256;
use stella_core::time::Timestamp;

use crate::{Result, StoreError};

/// All rows that a statement answers.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = prepared(conn, sql)?;
    let mut rows = statement.query(params)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

/// The first row, if there is one.
pub(super) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = prepared(conn, sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

pub(super) fn execute(conn: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(prepared(conn, sql)?.execute(params)?)
}

fn prepared<'a>(conn: &'a Connection, sql: &str) -> Result<CachedStatement<'a>> {
    #[cfg(test)]
    crate::plans::note(sql);
    Ok(conn.prepare_cached(sql)?)
}

pub(super) trait Columns {
    fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T>;
    fn parsed_or_null<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>>;
    fn digest(&self, column: &str) -> Result<Sha256>;
    fn json(&self, column: &str) -> Result<Value>;
    fn count(&self, column: &str) -> Result<u64>;
}

impl Columns for Row<'_> {
    fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T> {
        parse(column, &self.get::<_, String>(column)?)
    }

    fn parsed_or_null<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>> {
        self.get::<_, Option<String>>(column)?
            .map(|text| parse(column, &text))
            .transpose()
    }

    fn digest(&self, column: &str) -> Result<Sha256> {
        let bytes: [u8; 32] = self.get(column)?;
        Ok(Sha256::from_bytes(bytes))
    }

    fn json(&self, column: &str) -> Result<Value> {
        parse(column, &self.get::<_, String>(column)?)
    }

    fn count(&self, column: &str) -> Result<u64> {
        let number: i64 = self.get(column)?;
        u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{column} is {number}")))
    }
}

/// A list's bound or a sequence number as SQLite's signed integer.
pub(super) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::fixed_width)
}

pub(super) fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Corrupt(format!("a value is no JSON: {e}")))
}

fn parse<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|e| StoreError::Corrupt(format!("{column}: {e}")))
}
