//! Between columns and types. What cannot be read back is damage.

use std::str::FromStr;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use stella_core::trust::{AnchorKey, KeyRecord, TrustAnchor, TrustState};

use super::failed;
use crate::{Result, StoreError};

pub fn corrupt(what: &str, detail: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {detail}"))
}

pub fn text(row: &Row<'_>, column: &str) -> Result<String> {
    row.get(column).map_err(failed)
}

pub fn parsed<T: FromStr<Err: std::fmt::Display>>(row: &Row<'_>, column: &str) -> Result<T> {
    text(row, column)?.parse().map_err(|e| corrupt(column, e))
}

pub fn optional<T: FromStr<Err: std::fmt::Display>>(row: &Row<'_>, column: &str) -> Result<Option<T>> {
    let value: Option<String> = row.get(column).map_err(failed)?;
    value
        .map(|v| v.parse().map_err(|e| corrupt(column, e)))
        .transpose()
}

pub fn json(row: &Row<'_>, column: &str) -> Result<serde_json::Value> {
    serde_json::from_str(&text(row, column)?).map_err(|e| corrupt(column, e))
}

/// All rows of a query, each read by `read`.
pub fn collect<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        out.push(read(row)?);
    }
    Ok(out)
}

/// A projection row, as what is written and as what is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    pub table: &'static str,
    pub id: String,
    pub columns: Vec<(&'static str, Value)>,
}

pub fn signing_key(key: &KeyRecord) -> Projected {
    let own = key.own();
    let document = serde_json::json!({
        "type": key.key_type,
        "publicKey": key.public_key,
        "algorithm": key.public_key.algorithm(),
        "createdAt": key.created_at,
        "enteredAt": key.entered_at,
        "profile": own.map(|o| o.profile.clone()),
        "store": own.map(|o| o.store.clone()),
        "notAfter": own.and_then(|o| o.not_after),
        "phase": own.map(|o| format!("{:?}", o.phase)),
        "end": key.end,
    });
    Projected {
        table: "signing_keys",
        id: key.id.to_string(),
        columns: vec![
            ("key_id", Value::Text(key.id.to_string())),
            (
                "version",
                Value::Integer(i64::try_from(key.version).unwrap_or(i64::MAX)),
            ),
            ("document", Value::Text(canonical_text(&document))),
        ],
    }
}

pub fn trust_anchor(anchor: &TrustAnchor) -> Projected {
    let policy = serde_json::to_string(&anchor.policy).unwrap_or_default();
    Projected {
        table: "trust_anchors",
        id: anchor.id.to_string(),
        columns: vec![
            ("id", Value::Text(anchor.id.to_string())),
            ("purl_pattern", Value::Text(anchor.pattern.to_string())),
            ("status", Value::Text(anchor.status.to_string())),
            ("policy_version", Value::Text(anchor.policy_version.to_string())),
            ("policy", Value::Text(policy)),
            ("created_at", Value::Text(anchor.created_at.fixed_width())),
        ],
    }
}

pub fn key_history(anchor: &TrustAnchor, held: &AnchorKey, state: &TrustState) -> Projected {
    let id = history_id(anchor, held);
    let key = state.keys.get(&held.key_id);
    let end = held.end.as_ref();
    let optional = |value: Option<String>| value.map_or(Value::Null, Value::Text);
    let metadata = end.map(|e| {
        canonical_text(&serde_json::json!({ "compromisedSince": e.compromised_since, "note": e.note, "recordedAt": e.recorded_at }))
    });
    Projected {
        table: "key_history",
        id: id.clone(),
        columns: vec![
            ("id", Value::Text(id)),
            ("anchor_id", Value::Text(anchor.id.to_string())),
            ("key_id", Value::Text(held.key_id.to_string())),
            (
                "public_key",
                Value::Text(key.map(|k| k.public_key.spki_base64()).unwrap_or_default()),
            ),
            (
                "algorithm",
                Value::Text(
                    key.map(|k| k.public_key.algorithm().to_string())
                        .unwrap_or_default(),
                ),
            ),
            ("added_at", Value::Text(held.added_at.fixed_width())),
            ("expires_at", optional(held.expires_at.map(|t| t.fixed_width()))),
            ("revoked_at", optional(end.map(|e| e.effective_at.fixed_width()))),
            ("revoke_reason", optional(end.map(|e| e.reason.to_string()))),
            ("metadata", optional(metadata)),
        ],
    }
}

/// One text for one value, whichever features serde_json was built with.
fn canonical_text(value: &serde_json::Value) -> String {
    String::from_utf8(stella_core::canonical::to_canonical(value).unwrap_or_default()).unwrap_or_default()
}

/// A UUIDv8 of anchor and key, so that a rebuilt projection has the same ids.
fn history_id(anchor: &TrustAnchor, held: &AnchorKey) -> String {
    let digest =
        stella_core::digest::Sha256::of_parts(&[anchor.id.0.as_bytes(), held.key_id.as_str().as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// Every projection row of a state.
pub fn all(state: &TrustState) -> Vec<Projected> {
    let mut out: Vec<_> = state.keys.values().map(signing_key).collect();
    out.extend(state.anchors.values().map(trust_anchor));
    for anchor in state.anchors.values() {
        out.extend(anchor.keys.iter().map(|held| key_history(anchor, held, state)));
    }
    out
}

impl Projected {
    /// Inserts, or brings the row that is there up to date.
    pub fn write(&self, connection: &Connection) -> Result<()> {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let marks: Vec<_> = (1..=names.len()).map(|n| format!("?{n}")).collect();
        let updates: Vec<_> = names
            .iter()
            .skip(1)
            .map(|n| format!("{n}=excluded.{n}"))
            .collect();
        let sql = format!(
            "INSERT INTO signer.{} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
            self.table,
            names.join(", "),
            marks.join(", "),
            names.first().copied().unwrap_or_default(),
            updates.join(", ")
        );
        let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
        let values = self.columns.iter().map(|(_, value)| value);
        statement
            .execute(rusqlite::params_from_iter(values))
            .map_err(failed)?;
        Ok(())
    }

    /// The same row as the database has it.
    pub fn stored(&self, connection: &Connection) -> Result<Option<Vec<Value>>> {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let key = names.first().copied().unwrap_or_default();
        let sql = format!(
            "SELECT {} FROM signer.{} WHERE {key} = ?1",
            names.join(", "),
            self.table
        );
        let found = collect(connection, &sql, [&self.id], |row| {
            (0..names.len())
                .map(|i| row.get(i).map_err(failed))
                .collect::<Result<Vec<Value>>>()
        })?;
        Ok(found.into_iter().next())
    }
}
