//! What the tables of keys and anchors hold, as a function of the fold.
//!
//! Writing, rebuilding and comparing all start from these same rows.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::{Value, json};
use stella_core::time::Timestamp;
use stella_core::trust::key::Phase;
use stella_core::trust::{AnchorKey, Event, KeyRecord, TrustAnchor, TrustState};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::conn::Conn;
use super::row::{At, integer, json as to_json};
use crate::{Result, StoreError, history_id};

/// A table with its columns, the primary key first.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
}

/// In the order in which rows refer to each other.
pub(super) const TABLES: [&Table; 3] = [&SIGNING_KEYS, &TRUST_ANCHORS, &KEY_HISTORY];

const SIGNING_KEYS: Table = Table {
    name: "signing_keys",
    columns: &[
        "key_id",
        "public_key",
        "fingerprint",
        "algorithm",
        "key_type",
        "created_at",
        "entered_at",
        "profile",
        "store",
        "not_after",
        "phase",
        "retiring_until",
        "revocation",
        "version",
    ],
};

const TRUST_ANCHORS: Table = Table {
    name: "trust_anchors",
    columns: &[
        "id",
        "purl_pattern",
        "status",
        "policy_version",
        "allowed_keyids",
        "revoked_keys",
        "allowed_predicate_types",
        "policy",
        "created_at",
    ],
};

const KEY_HISTORY: Table = Table {
    name: "key_history",
    columns: &[
        "id",
        "anchor_id",
        "key_id",
        "public_key",
        "algorithm",
        "added_at",
        "revoked_at",
        "revoke_reason",
        "metadata",
        "position",
    ],
};

/// One column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Id(Uuid),
    Time(Timestamp),
    Number(i64),
    Bytes(Vec<u8>),
    Json(Value),
}

type Answer<T> = std::result::Result<T, Box<dyn Error + Sync + Send>>;

impl ToSql for Cell {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Answer<IsNull> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) => text.to_sql_checked(ty, out),
            Self::Id(id) => id.to_sql_checked(ty, out),
            Self::Time(at) => At(*at).to_sql_checked(ty, out),
            Self::Number(number) => number.to_sql_checked(ty, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(ty, out),
            Self::Json(value) => value.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Answer<Self> {
        Ok(match *ty {
            Type::UUID => Self::Id(FromSql::from_sql(ty, raw)?),
            Type::TIMESTAMPTZ => Self::Time(At::from_sql(ty, raw)?.0),
            Type::INT8 => Self::Number(FromSql::from_sql(ty, raw)?),
            Type::BYTEA => Self::Bytes(FromSql::from_sql(ty, raw)?),
            Type::JSONB => Self::Json(FromSql::from_sql(ty, raw)?),
            _ => Self::Text(FromSql::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Answer<Self> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Rows by their primary key.
pub(super) type Rows = BTreeMap<String, Vec<Cell>>;

/// Writes the rows of every key and anchor that these events are about.
pub(super) async fn write_touched(conn: &Conn, events: &[Event], state: &TrustState) -> Result<()> {
    for event in events {
        if let Some(id) = event.body.key_id() {
            let key = state.keys.get(id).ok_or_else(|| missing("key", id))?;
            upsert(conn, &SIGNING_KEYS, &key_row(key)?).await?;
        }
        if let Some(id) = event.body.anchor_id() {
            let anchor = state.anchors.get(&id).ok_or_else(|| missing("anchor", id))?;
            upsert(conn, &TRUST_ANCHORS, &anchor_row(anchor)?).await?;
            for (position, key) in anchor.keys.iter().enumerate() {
                upsert(conn, &KEY_HISTORY, &history_row(anchor, position, key, state)?).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn write_all(conn: &Conn, state: &TrustState) -> Result<()> {
    for table in TABLES.iter().rev() {
        conn.execute(&format!("DELETE FROM signer.{}", table.name), &[])
            .await?;
    }
    for table in TABLES {
        for row in expected(table, state)?.values() {
            upsert(conn, table, row).await?;
        }
    }
    Ok(())
}

pub(super) fn expected(table: &Table, state: &TrustState) -> Result<Rows> {
    let rows: Vec<Vec<Cell>> = match table.name {
        "signing_keys" => state.keys.values().map(key_row).collect::<Result<_>>()?,
        "trust_anchors" => state.anchors.values().map(anchor_row).collect::<Result<_>>()?,
        _ => state
            .anchors
            .values()
            .flat_map(|a| a.keys.iter().enumerate().map(move |(n, k)| (a, n, k)))
            .map(|(a, n, k)| history_row(a, n, k, state))
            .collect::<Result<_>>()?,
    };
    Ok(by_key(rows))
}

pub(super) async fn stored(table: &Table, conn: &Conn) -> Result<Rows> {
    let sql = format!("SELECT {} FROM signer.{}", table.columns.join(", "), table.name);
    let rows = conn.all(&sql, &[]).await?;
    let cells = rows.iter().map(|row| {
        (0..table.columns.len())
            .map(|n| Ok(row.try_get::<_, Cell>(n)?))
            .collect::<Result<Vec<_>>>()
    });
    Ok(by_key(cells.collect::<Result<_>>()?))
}

fn by_key(rows: Vec<Vec<Cell>>) -> Rows {
    rows.into_iter()
        .filter_map(|row| match row.first() {
            Some(Cell::Text(key)) => Some((key.clone(), row)),
            Some(Cell::Id(id)) => Some((id.to_string(), row)),
            _ => None,
        })
        .collect()
}

async fn upsert(conn: &Conn, table: &Table, row: &[Cell]) -> Result<()> {
    let (key, rest) = table
        .columns
        .split_first()
        .ok_or_else(|| missing("column", "id"))?;
    let values: Vec<_> = (1..=table.columns.len()).map(|n| format!("${n}")).collect();
    let updates: Vec<_> = rest.iter().map(|c| format!("{c} = excluded.{c}")).collect();
    let sql = format!(
        "INSERT INTO signer.{} ({}) VALUES ({}) ON CONFLICT ({key}) DO UPDATE SET {}",
        table.name,
        table.columns.join(", "),
        values.join(", "),
        updates.join(", "),
    );
    let params: Vec<&(dyn ToSql + Sync)> = row.iter().map(|cell| cell as _).collect();
    conn.execute(&sql, &params).await?;
    Ok(())
}

fn text(value: impl std::fmt::Display) -> Cell {
    Cell::Text(value.to_string())
}

fn or_null<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
    value.map_or(Cell::Null, cell)
}

fn key_row(key: &KeyRecord) -> Result<Vec<Cell>> {
    let own = key.own();
    let (phase, until) = match own.map(|own| own.phase) {
        None => (None, None),
        Some(Phase::Pending) => (Some("pending"), None),
        Some(Phase::Standby) => (Some("standby"), None),
        Some(Phase::Active) => (Some("active"), None),
        Some(Phase::Retiring { until }) => (Some("retiring"), Some(until)),
        Some(Phase::Retired) => (Some("retired"), None),
    };
    Ok(vec![
        text(&key.id),
        text(key.public_key.spki_base64()),
        Cell::Bytes(key.public_key.fingerprint().as_bytes().to_vec()),
        text(key.public_key.algorithm().id()),
        text(key.key_type),
        or_null(key.created_at, Cell::Time),
        Cell::Time(key.entered_at),
        or_null(own, |own| text(&own.profile)),
        or_null(own, |own| text(&own.store)),
        or_null(own.and_then(|own| own.not_after), Cell::Time),
        or_null(phase, text),
        or_null(until, Cell::Time),
        or_null(key.end.as_ref().map(to_json).transpose()?, Cell::Json),
        Cell::Number(integer(key.version)),
    ])
}

fn anchor_row(anchor: &TrustAnchor) -> Result<Vec<Cell>> {
    let keys = |ended: bool| {
        let ids: Vec<_> = anchor
            .keys
            .iter()
            .filter(|k| k.end.is_some() == ended)
            .map(|k| &k.key_id)
            .collect();
        to_json(&ids).map(Cell::Json)
    };
    let allowed = anchor.policy.allowed_predicate_types.as_ref();
    Ok(vec![
        Cell::Id(anchor.id.0),
        text(&anchor.pattern),
        text(anchor.status),
        text(anchor.policy_version),
        keys(false)?,
        keys(true)?,
        or_null(allowed.map(to_json).transpose()?, Cell::Json),
        Cell::Json(to_json(&anchor.policy)?),
        Cell::Time(anchor.created_at),
    ])
}

fn history_row(
    anchor: &TrustAnchor,
    position: usize,
    held: &AnchorKey,
    state: &TrustState,
) -> Result<Vec<Cell>> {
    let id = &held.key_id;
    let key = state.keys.get(id).ok_or_else(|| missing("key", id))?;
    let metadata = json!({
        "recordedAt": held.recorded_at,
        "expiresAt": held.expires_at,
        "revocation": held.end,
    });
    let end = held.end.as_ref();
    Ok(vec![
        Cell::Id(history_id(anchor.id, id)),
        Cell::Id(anchor.id.0),
        text(id),
        text(key.public_key.spki_base64()),
        text(key.public_key.algorithm().id()),
        Cell::Time(held.added_at),
        or_null(end.map(|end| end.effective_at), Cell::Time),
        or_null(end.map(|end| end.reason.to_string()), Cell::Text),
        Cell::Json(metadata),
        Cell::Number(integer(position)),
    ])
}

fn missing(what: &str, id: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("the state to be stored lacks {what} {id}"))
}
