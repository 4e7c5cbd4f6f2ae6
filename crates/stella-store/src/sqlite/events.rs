//! The event log and its projections.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use stella_core::digest::Sha256;
use stella_core::id::{AnchorId, KeyId};
use stella_core::trust::{Event, TrustState};

use super::rows::{self, collect, corrupt, json, optional, parsed, text};
use super::writer::{Chain, Link};
use super::{SqliteStore, failed, tokens};
use crate::{Appended, AuditFilter, AuditRow, EventStore, Result, SealedKeyRow, StoreError, TokenChange};

#[async_trait]
impl EventStore for SqliteStore {
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Event>> {
        self.read("events after", move |c| events(c, after, limit)).await
    }

    async fn append(
        &self,
        expected_head: u64,
        events: Vec<Event>,
        state: Arc<TrustState>,
        sealed_keys: Vec<SealedKeyRow>,
        token_changes: Vec<TokenChange>,
    ) -> Result<Appended> {
        self.write("append events", move |c, chain| {
            let head = head(c)?;
            if head != expected_head {
                return Ok(Appended::HeadMoved { head });
            }
            for event in &events {
                insert(c, chain, event)?;
            }
            project(c, &events, &state)?;
            for sealed in &sealed_keys {
                c.prepare_cached("INSERT INTO signer.sealed_keys (key_id, blob) VALUES (?1, ?2)")
                    .and_then(|mut s| s.execute((sealed.key_id.as_str(), &sealed.blob)))
                    .map_err(failed)?;
            }
            for change in &token_changes {
                tokens::apply(c, change)?;
            }
            Ok(Appended::Done)
        })
        .await
    }

    async fn sealed_key(&self, id: &KeyId) -> Result<Option<Vec<u8>>> {
        let id = id.to_string();
        self.read("sealed key", move |c| {
            let found = collect(
                c,
                "SELECT blob FROM signer.sealed_keys WHERE key_id = ?1",
                [&id],
                |row| row.get(0).map_err(failed),
            )?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn has_sealed_keys(&self) -> Result<bool> {
        self.read("any sealed key", |c| {
            c.query_row("SELECT EXISTS (SELECT 1 FROM signer.sealed_keys)", [], |row| {
                row.get(0)
            })
            .map_err(failed)
        })
        .await
    }

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>> {
        self.read("audit", move |c| audit(c, &filter)).await
    }
}

pub(super) fn head(connection: &Connection) -> Result<u64> {
    let head: i64 = connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM signer.key_audit_log")
        .and_then(|mut s| s.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    u64::try_from(head).map_err(|e| corrupt("sequence", e))
}

pub(super) fn events(connection: &Connection, after: u64, limit: usize) -> Result<Vec<Event>> {
    let sql =
        "SELECT sequence, bytes FROM signer.key_audit_log WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
    collect(connection, sql, (number(after), number(limit)), |row| {
        let bytes: Vec<u8> = row.get("bytes").map_err(failed)?;
        let sequence: i64 = row.get("sequence").map_err(failed)?;
        Event::from_bytes(&bytes).map_err(|e| corrupt(&format!("event {sequence}"), e))
    })
}

fn insert(connection: &Connection, chain: &mut Chain, event: &Event) -> Result<()> {
    let bytes = event
        .to_bytes()
        .map_err(|e| StoreError::Unavailable(e.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO signer.key_audit_log (sequence, event_id, event_type, key_id, anchor_id, actor, timestamp, details, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut s| {
            s.execute((
                number(event.sequence),
                event.id.to_string(),
                event.body.event_type(),
                event.body.key_id().map(KeyId::as_str),
                event.body.anchor_id().map(|id| id.to_string()),
                &event.actor,
                event.recorded_at.fixed_width(),
                event.body.details().to_string(),
                &bytes,
            ))
        })
        .map_err(failed)?;
    chain.add(Link::Event {
        sequence: event.sequence,
        bytes: Sha256::of(&bytes),
    });
    Ok(())
}

/// The rows of what the events touched, taken from the state after them.
fn project(connection: &Connection, events: &[Event], state: &TrustState) -> Result<()> {
    let keys: BTreeSet<&KeyId> = events.iter().filter_map(|e| e.body.key_id()).collect();
    let anchors: BTreeSet<AnchorId> = events.iter().filter_map(|e| e.body.anchor_id()).collect();
    for key in keys.into_iter().filter_map(|id| state.keys.get(id)) {
        rows::signing_key(key).write(connection)?;
    }
    for anchor in anchors.into_iter().filter_map(|id| state.anchors.get(&id)) {
        rows::trust_anchor(anchor).write(connection)?;
        for held in &anchor.keys {
            rows::key_history(anchor, held, state).write(connection)?;
        }
    }
    Ok(())
}

fn audit(connection: &Connection, filter: &AuditFilter) -> Result<Vec<AuditRow>> {
    // `KEY_*` is a prefix; the underscore is itself, so LIKE would be wrong.
    let (exact, prefix) = match filter.event_type.as_deref() {
        Some(pattern) => match pattern.strip_suffix('*') {
            Some(prefix) => (None, Some(prefix.to_owned())),
            None => (Some(pattern.to_owned()), None),
        },
        None => (None, None),
    };
    let sql = "SELECT sequence, event_id, event_type, key_id, anchor_id, actor, timestamp, coalesce(details, 'null') AS details
        FROM signer.key_audit_log
        WHERE (?1 IS NULL OR event_type = ?1)
          AND (?2 IS NULL OR substr(event_type, 1, length(?2)) = ?2)
          AND (?3 IS NULL OR key_id = ?3) AND (?4 IS NULL OR anchor_id = ?4) AND (?5 IS NULL OR actor = ?5)
          AND (?6 IS NULL OR timestamp >= ?6) AND (?7 IS NULL OR timestamp < ?7)
          AND (?8 IS NULL OR sequence < ?8)
        ORDER BY sequence DESC LIMIT ?9";
    let parameters = (
        exact,
        prefix,
        filter.key_id.as_ref().map(KeyId::as_str),
        filter.anchor_id.map(|id| id.to_string()),
        filter.actor.as_deref(),
        filter.from.map(|t| t.fixed_width()),
        filter.to.map(|t| t.fixed_width()),
        filter.before.map(number),
        number(filter.limit),
    );
    collect(connection, sql, parameters, |row| {
        let sequence: i64 = row.get("sequence").map_err(failed)?;
        Ok(AuditRow {
            sequence: u64::try_from(sequence).map_err(|e| corrupt("sequence", e))?,
            event_id: parsed(row, "event_id")?,
            event_type: text(row, "event_type")?,
            key_id: optional(row, "key_id")?,
            anchor_id: optional(row, "anchor_id")?,
            actor: text(row, "actor")?,
            timestamp: parsed(row, "timestamp")?,
            details: json(row, "details")?,
        })
    })
}

/// SQLite's integers are signed; nothing here comes near the end.
pub(super) fn number(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}
