//! Reading rows: every column back into the type it was written from.

use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;
use stella_core::digest::Sha256;
use stella_core::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::{Result, StoreError};

/// A moment, to the microsecond in both worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At(pub(super) Timestamp);

/// PostgreSQL counts microseconds from the year 2000.
const EPOCH: i64 = 946_684_800_000_000;

impl ToSql for At {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        (self.0.as_micros() - EPOCH).to_sql(&Type::INT8, out)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for At {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_sql(&Type::INT8, raw)?;
        let at = micros.checked_add(EPOCH).ok_or("a time out of range")?;
        Ok(Self(Timestamp::from_micros(at)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

pub(super) trait Columns {
    fn column<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T>;

    fn parsed_or_null<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>> {
        self.column::<Option<String>>(column)?
            .map(|text| parse(column, &text))
            .transpose()
    }

    fn id(&self, column: &str) -> Result<Uuid> {
        self.column(column)
    }

    fn time(&self, column: &str) -> Result<Timestamp> {
        Ok(self.column::<At>(column)?.0)
    }

    fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.column::<Option<At>>(column)?.map(|at| at.0))
    }

    fn digest(&self, column: &str) -> Result<Sha256> {
        let bytes: &[u8] = self.column(column)?;
        let bytes: [u8; 32] = bytes
            .try_into()
            .map_err(|_| StoreError::Corrupt(format!("{column}: {} bytes are no digest", bytes.len())))?;
        Ok(Sha256::from_bytes(bytes))
    }

    fn json(&self, column: &str) -> Result<Value> {
        self.column(column)
    }

    fn count(&self, column: &str) -> Result<u64> {
        let number: i64 = self.column(column)?;
        u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{column} is {number}")))
    }
}

impl Columns for Row {
    fn column<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T> {
        Ok(self.try_get(column)?)
    }
}

/// A list's bound or a sequence number as PostgreSQL's signed integer.
pub(super) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| StoreError::Corrupt(format!("a value is no JSON: {e}")))
}

pub(super) fn parse<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|e| StoreError::Corrupt(format!("{column}: {e}")))
}
