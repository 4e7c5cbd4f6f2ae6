//! The event log, and the audit view of it.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use stella_core::id::KeyId;
use stella_core::trust::Event;

use super::row::{Columns, all, execute, first, integer, json_text};
use super::writer::Commit;
use super::{SqliteStore, projections, tokens};
use crate::{
    Append, Appended, AuditFilter, AuditRow, ChainHead, EventStore, Result, SealedKeyRow, StoreError,
    TokenChange,
};

#[async_trait]
impl EventStore for SqliteStore {
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Event>> {
        self.readers
            .read(move |conn| events_after(conn, after, limit))
            .await
    }

    async fn append(
        &self,
        append: Append,
        sealed_keys: Vec<SealedKeyRow>,
        tokens: Vec<TokenChange>,
    ) -> Result<Appended> {
        self.writer
            .write(move |commit| {
                let head = commit.head()?;
                if head != append.expected_head {
                    return Ok(Appended::HeadMoved { head });
                }
                write(commit, &append)?;
                for key in &sealed_keys {
                    execute(
                        commit.conn,
                        "INSERT INTO signer.sealed_keys (key_id, blob) VALUES (?1, ?2)",
                        (key.key_id.as_str(), &key.blob),
                    )?;
                }
                tokens::change(commit.conn, &tokens)?;
                Ok(Appended::Done)
            })
            .await
    }

    async fn chain_head(&self, event: u64) -> Result<Option<ChainHead>> {
        self.readers.read(move |conn| chain_head(conn, event)).await
    }

    async fn sealed_key(&self, id: &KeyId) -> Result<Option<Vec<u8>>> {
        let id = id.clone();
        self.readers
            .read(move |conn| {
                let sql = "SELECT blob FROM signer.sealed_keys WHERE key_id = ?1";
                first(conn, sql, [id.as_str()], |row| Ok(row.get("blob")?))
            })
            .await
    }

    async fn has_sealed_keys(&self) -> Result<bool> {
        self.readers
            .read(|conn| {
                let found = first(conn, "SELECT 1 FROM signer.sealed_keys LIMIT 1", [], |_| Ok(()))?;
                Ok(found.is_some())
            })
            .await
    }

    async fn sealing_key(&self) -> Result<Option<String>> {
        self.readers.read(sealing_key).await
    }

    async fn claim_sealing_key(&self, id: &str) -> Result<String> {
        let id = id.to_owned();
        self.writer
            .write(move |commit| {
                let sql = "INSERT INTO signer.meta (key, value) VALUES ('sealing_key', ?1)
                           ON CONFLICT (key) DO NOTHING";
                execute(commit.conn, sql, [&id])?;
                Ok(sealing_key(commit.conn)?.unwrap_or_else(|| id.clone()))
            })
            .await
    }

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>> {
        self.readers.read(move |conn| audit(conn, &filter)).await
    }
}

fn sealing_key(conn: &Connection) -> Result<Option<String>> {
    let sql = "SELECT value FROM signer.meta WHERE key = 'sealing_key'";
    first(conn, sql, [], |row| Ok(row.get("value")?))
}

pub(super) fn head(conn: &Connection) -> Result<u64> {
    let sql = "SELECT COALESCE(MAX(sequence), 0) AS head FROM signer.key_audit_log";
    Ok(first(conn, sql, [], |row| row.count("head"))?.unwrap_or(0))
}

/// From the end: who asks has just appended.
fn chain_head(conn: &Connection, event: u64) -> Result<Option<ChainHead>> {
    let sql = "SELECT last_sequence, head, COALESCE(
                 (SELECT last_entry FROM signer.event_chain AS earlier
                  WHERE earlier.commit_id <= chain.commit_id AND last_entry IS NOT NULL
                  ORDER BY commit_id DESC LIMIT 1), 0) AS entries
               FROM signer.event_chain AS chain
               WHERE first_sequence <= ?1 AND last_sequence >= ?1
               ORDER BY commit_id DESC LIMIT 1";
    first(conn, sql, [integer(event)], |row| {
        Ok(ChainHead {
            events: row.count("last_sequence")?,
            entries: row.count("entries")?,
            hash: row.digest("head")?,
        })
    })
}

pub(super) fn events_after(conn: &Connection, after: u64, limit: usize) -> Result<Vec<Event>> {
    all(
        conn,
        "SELECT * FROM signer.key_audit_log WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        (integer(after), integer(limit)),
        event_of,
    )
}

pub(super) fn event_of(row: &Row<'_>) -> Result<Event> {
    let sequence = row.count("sequence")?;
    let event = Event::from_bytes(&row.get::<_, Vec<u8>>("bytes")?)
        .map_err(|e| StoreError::Corrupt(format!("event {sequence}: {e}")))?;
    let columns = audit_row(row)?;
    if columns != AuditRow::of(&event) {
        return Err(StoreError::Corrupt(format!(
            "event {sequence}: its bytes and its columns say different things"
        )));
    }
    Ok(event)
}

pub(super) fn audit_row(row: &Row<'_>) -> Result<AuditRow> {
    Ok(AuditRow {
        sequence: row.count("sequence")?,
        event_id: row.parsed("event_id")?,
        event_type: row.get("event_type")?,
        key_id: row.parsed_or_null("key_id")?,
        anchor_id: row.parsed_or_null("anchor_id")?,
        actor: row.get("actor")?,
        timestamp: row.parsed("timestamp")?,
        details: row.json("details")?,
    })
}

/// Only after [`head`] was seen to be the expected one, in the same commit.
pub(super) fn write(commit: &mut Commit<'_>, append: &Append) -> Result<()> {
    for (sequence, event) in (append.expected_head + 1..).zip(&append.events) {
        if event.sequence != sequence {
            let said = event.sequence;
            return Err(StoreError::Corrupt(format!(
                "event {said} cannot be stored as event {sequence}"
            )));
        }
        let bytes = event
            .to_bytes()
            .map_err(|e| StoreError::Corrupt(format!("event {sequence}: {e}")))?;
        execute(
            commit.conn,
            "INSERT INTO signer.key_audit_log
             (sequence, event_id, event_type, key_id, anchor_id, actor, timestamp, details, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                integer(sequence),
                event.id.to_string(),
                event.body.event_type(),
                event.body.key_id().map(KeyId::as_str),
                event.body.anchor_id().map(|id| id.to_string()),
                &event.actor,
                event.recorded_at.fixed_width(),
                json_text(&event.body.details())?,
                &bytes,
            ),
        )?;
        commit.chain_event(sequence, &bytes);
    }
    commit.forget();
    projections::write_touched(commit.conn, &append.events, &append.state)
}

/// How often an event has been about this key.
pub(super) fn key_version(conn: &Connection, key: &KeyId) -> Result<Option<u64>> {
    let sql = "SELECT version FROM signer.signing_keys WHERE key_id = ?1";
    first(conn, sql, [key.as_str()], |row| row.count("version"))
}

fn audit(conn: &Connection, filter: &AuditFilter) -> Result<Vec<AuditRow>> {
    let mut sql = String::from("SELECT * FROM signer.key_audit_log WHERE TRUE");
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        }
    };
    let (one, many) = match filter.event_type.as_deref() {
        Some(pattern) if pattern.contains('*') => (None, Some(like(pattern))),
        whole => (whole, None),
    };
    and("event_type = ?", one.map(|name| name.to_owned().into()));
    and("event_type LIKE ? ESCAPE '\\'", many.map(Value::from));
    and(
        "key_id = ?",
        filter.key_id.as_ref().map(|id| id.to_string().into()),
    );
    and("anchor_id = ?", filter.anchor_id.map(|id| id.to_string().into()));
    and("actor = ?", filter.actor.clone().map(Value::from));
    and("timestamp >= ?", filter.from.map(|at| at.fixed_width().into()));
    and("timestamp < ?", filter.to.map(|at| at.fixed_width().into()));
    and("sequence < ?", filter.before.map(|n| integer(n).into()));
    sql.push_str(" ORDER BY sequence DESC LIMIT ?");
    values.push(integer(filter.limit).into());
    all(conn, &sql, params_from_iter(values), audit_row)
}

/// `*` stands for anything; what LIKE takes for itself is meant literally.
fn like(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 4);
    for c in pattern.chars() {
        match c {
            '*' => out.push('%'),
            '%' | '_' | '\\' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}
