//! What the tables of keys and anchors hold, as a function of the fold.
//!
//! Writing, rebuilding and comparing all start from these same rows.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde_json::json;
use stella_core::trust::key::Phase;
use stella_core::trust::{AnchorKey, Event, KeyRecord, TrustAnchor, TrustState};

use super::row::{all, execute, integer, json_text, text};
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

/// Rows by their primary key.
pub(super) type Rows = BTreeMap<String, Vec<Value>>;

/// Writes the rows of every key and anchor that these events are about.
pub(super) fn write_touched(conn: &Connection, events: &[Event], state: &TrustState) -> Result<()> {
    for event in events {
        if let Some(id) = event.body.key_id() {
            let key = state.keys.get(id).ok_or_else(|| missing("key", id))?;
            upsert(conn, &SIGNING_KEYS, &key_row(key)?)?;
        }
        if let Some(id) = event.body.anchor_id() {
            let anchor = state.anchors.get(&id).ok_or_else(|| missing("anchor", id))?;
            write_anchor(conn, anchor, state)?;
        }
    }
    Ok(())
}

pub(super) fn write_all(conn: &Connection, state: &TrustState) -> Result<()> {
    for table in TABLES.iter().rev() {
        execute(conn, &format!("DELETE FROM signer.{}", table.name), [])?;
    }
    for table in TABLES {
        for row in expected(table, state)?.values() {
            upsert(conn, table, row)?;
        }
    }
    Ok(())
}

pub(super) fn expected(table: &Table, state: &TrustState) -> Result<Rows> {
    let rows: Vec<Vec<Value>> = match table.name {
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

pub(super) fn stored(table: &Table, conn: &Connection) -> Result<Rows> {
    let sql = format!("SELECT {} FROM signer.{}", table.columns.join(", "), table.name);
    let rows = all(conn, &sql, [], |row| {
        (0..table.columns.len())
            .map(|n| Ok(row.get::<_, Value>(n)?))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(by_key(rows))
}

fn by_key(rows: Vec<Vec<Value>>) -> Rows {
    rows.into_iter()
        .filter_map(|row| match row.first() {
            Some(Value::Text(key)) => Some((key.clone(), row)),
            _ => None,
        })
        .collect()
}

fn write_anchor(conn: &Connection, anchor: &TrustAnchor, state: &TrustState) -> Result<()> {
    upsert(conn, &TRUST_ANCHORS, &anchor_row(anchor)?)?;
    for (position, key) in anchor.keys.iter().enumerate() {
        upsert(conn, &KEY_HISTORY, &history_row(anchor, position, key, state)?)?;
    }
    Ok(())
}

fn upsert(conn: &Connection, table: &Table, row: &[Value]) -> Result<()> {
    let (key, rest) = table
        .columns
        .split_first()
        .ok_or_else(|| missing("column", "id"))?;
    let values: Vec<_> = (1..=table.columns.len()).map(|n| format!("?{n}")).collect();
    let updates: Vec<_> = rest.iter().map(|c| format!("{c} = excluded.{c}")).collect();
    let sql = format!(
        "INSERT INTO signer.{} ({}) VALUES ({}) ON CONFLICT ({key}) DO UPDATE SET {}",
        table.name,
        table.columns.join(", "),
        values.join(", "),
        updates.join(", "),
    );
    execute(conn, &sql, params_from_iter(row))?;
    Ok(())
}

fn key_row(key: &KeyRecord) -> Result<Vec<Value>> {
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
        key.id.to_string().into(),
        key.public_key.spki_base64().into(),
        key.public_key.fingerprint().as_bytes().to_vec().into(),
        key.public_key.algorithm().id().to_owned().into(),
        key.key_type.to_string().into(),
        text(key.created_at).into(),
        key.entered_at.fixed_width().into(),
        own.map(|own| own.profile.to_string()).into(),
        own.map(|own| own.store.clone()).into(),
        text(own.and_then(|own| own.not_after)).into(),
        phase.map(str::to_owned).into(),
        text(until).into(),
        key.end.as_ref().map(json_text).transpose()?.into(),
        integer(key.version).into(),
    ])
}

fn anchor_row(anchor: &TrustAnchor) -> Result<Vec<Value>> {
    let keys = |ended: bool| {
        let ids: Vec<_> = anchor
            .keys
            .iter()
            .filter(|k| k.end.is_some() == ended)
            .map(|k| &k.key_id)
            .collect();
        json_text(&ids)
    };
    let allowed = anchor.policy.allowed_predicate_types.as_ref();
    Ok(vec![
        anchor.id.to_string().into(),
        anchor.pattern.to_string().into(),
        anchor.status.to_string().into(),
        anchor.policy_version.to_string().into(),
        keys(false)?.into(),
        keys(true)?.into(),
        allowed.map(json_text).transpose()?.into(),
        json_text(&anchor.policy)?.into(),
        anchor.created_at.fixed_width().into(),
    ])
}

fn history_row(
    anchor: &TrustAnchor,
    position: usize,
    held: &AnchorKey,
    state: &TrustState,
) -> Result<Vec<Value>> {
    let id = &held.key_id;
    let key = state.keys.get(id).ok_or_else(|| missing("key", id))?;
    let metadata = json!({
        "recordedAt": held.recorded_at,
        "expiresAt": held.expires_at,
        "revocation": held.end,
    });
    Ok(vec![
        history_id(anchor.id, id).to_string().into(),
        anchor.id.to_string().into(),
        id.to_string().into(),
        key.public_key.spki_base64().into(),
        key.public_key.algorithm().id().to_owned().into(),
        held.added_at.fixed_width().into(),
        text(held.end.as_ref().map(|end| end.effective_at)).into(),
        held.end.as_ref().map(|end| end.reason.to_string()).into(),
        json_text(&metadata)?.into(),
        integer(position).into(),
    ])
}

fn missing(what: &str, id: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("the state to be stored lacks {what} {id}"))
}
