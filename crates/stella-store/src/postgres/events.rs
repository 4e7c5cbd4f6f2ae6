//! The event log, and the audit view of it.

use async_trait::async_trait;
use stella_core::id::{AnchorId, EventId, KeyId};
use stella_core::trust::Event;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::conditions::Conditions;
use super::conn::Conn;
use super::row::{At, Columns, integer, json};
use super::writer::Commit;
use super::{PostgresStore, projections, tokens};
use crate::{
    Append, Appended, AuditFilter, AuditRow, ChainHead, EventStore, Result, SealedKeyRow, StoreError,
    TokenChange,
};

#[async_trait]
impl EventStore for PostgresStore {
    async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Event>> {
        let conn = self.readers.reader().await?;
        events_after(&conn, after, limit).await
    }

    async fn append(
        &self,
        append: Append,
        sealed_keys: Vec<SealedKeyRow>,
        tokens: Vec<TokenChange>,
    ) -> Result<Appended> {
        let data = (append, sealed_keys, tokens);
        self.writer
            .write(data, |commit, data| Box::pin(store(commit, data)))
            .await
    }

    /// From the end: who asks has just appended.
    async fn chain_head(&self, event: u64) -> Result<Option<ChainHead>> {
        let sql = "SELECT last_sequence, head, COALESCE(
                     (SELECT last_entry FROM signer.event_chain AS earlier
                      WHERE earlier.commit_id <= chain.commit_id AND last_entry IS NOT NULL
                      ORDER BY commit_id DESC LIMIT 1), 0) AS entries
                   FROM signer.event_chain AS chain
                   WHERE first_sequence <= $1 AND last_sequence >= $1
                   ORDER BY commit_id DESC LIMIT 1";
        let conn = self.readers.reader().await?;
        let row = conn.first(sql, &[&integer(event)]).await?;
        row.map(|row| {
            Ok(ChainHead {
                events: row.count("last_sequence")?,
                entries: row.count("entries")?,
                hash: row.digest("head")?,
            })
        })
        .transpose()
    }

    async fn sealed_key(&self, id: &KeyId) -> Result<Option<Vec<u8>>> {
        let conn = self.readers.reader().await?;
        let sql = "SELECT blob FROM signer.sealed_keys WHERE key_id = $1";
        let row = conn.first(sql, &[&id.as_str()]).await?;
        row.map(|row| row.column("blob")).transpose()
    }

    async fn has_sealed_keys(&self) -> Result<bool> {
        let conn = self.readers.reader().await?;
        let found = conn
            .first("SELECT 1 FROM signer.sealed_keys LIMIT 1", &[])
            .await?;
        Ok(found.is_some())
    }

    async fn sealing_key(&self) -> Result<Option<String>> {
        let conn = self.readers.reader().await?;
        let row = conn.first(SEALING_KEY, &[]).await?;
        row.map(|row| row.column("value")).transpose()
    }

    async fn claim_sealing_key(&self, id: &str) -> Result<String> {
        self.writer
            .write(id.to_owned(), |commit, id| {
                Box::pin(async move {
                    let sql = "INSERT INTO signer.meta (key, value) VALUES ('sealing_key', $1)
                               ON CONFLICT (key) DO NOTHING";
                    commit.conn.execute(sql, &[id]).await?;
                    let row = commit.conn.first(SEALING_KEY, &[]).await?;
                    row.map_or_else(|| Ok(id.clone()), |row| row.column("value"))
                })
            })
            .await
    }

    async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditRow>> {
        let mut of = Conditions::of("SELECT * FROM signer.key_audit_log");
        match filter.event_type {
            Some(pattern) if pattern.contains('*') => of.and("event_type LIKE", Some(like(&pattern)), ""),
            whole => of.and("event_type =", whole, ""),
        }
        of.and("key_id =", filter.key_id.map(|id| id.to_string()), "");
        of.and("anchor_id =", filter.anchor_id.map(|id| id.0), "");
        of.and("actor =", filter.actor, "");
        of.and("timestamp >=", filter.from.map(At), "");
        of.and("timestamp <", filter.to.map(At), "");
        of.and("sequence <", filter.before.map(integer), "");
        let limit = of.value(integer(filter.limit));
        of.ends(&format!(" ORDER BY sequence DESC LIMIT ${limit}"));
        let conn = self.readers.reader().await?;
        let rows = conn.all(of.sql(), &of.params()).await?;
        rows.iter().map(audit_row).collect()
    }
}

const SEALING_KEY: &str = "SELECT value FROM signer.meta WHERE key = 'sealing_key'";

async fn store(
    commit: &mut Commit,
    data: &(Append, Vec<SealedKeyRow>, Vec<TokenChange>),
) -> Result<Appended> {
    let (append, sealed_keys, changes) = data;
    let head = head(&commit.conn).await?;
    if head != append.expected_head {
        return Ok(Appended::HeadMoved { head });
    }
    write(commit, append).await?;
    for key in sealed_keys {
        let sql = "INSERT INTO signer.sealed_keys (key_id, blob) VALUES ($1, $2)";
        commit
            .conn
            .execute(sql, &[&key.key_id.as_str(), &key.blob])
            .await?;
    }
    tokens::change(&commit.conn, changes).await?;
    Ok(Appended::Done)
}

pub(super) async fn head(conn: &Conn) -> Result<u64> {
    let sql = "SELECT COALESCE(MAX(sequence), 0) AS head FROM signer.key_audit_log";
    conn.first(sql, &[]).await?.map_or(Ok(0), |row| row.count("head"))
}

pub(super) async fn events_after(conn: &Conn, after: u64, limit: usize) -> Result<Vec<Event>> {
    let sql = "SELECT * FROM signer.key_audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    let rows = conn.all(sql, &[&integer(after), &integer(limit)]).await?;
    rows.iter().map(event_of).collect()
}

pub(super) fn event_of(row: &Row) -> Result<Event> {
    let sequence = row.count("sequence")?;
    let event = Event::from_bytes(row.column("bytes")?)
        .map_err(|e| StoreError::Corrupt(format!("event {sequence}: {e}")))?;
    if audit_row(row)? != AuditRow::of(&event) {
        return Err(StoreError::Corrupt(format!(
            "event {sequence}: its bytes and its columns say different things"
        )));
    }
    Ok(event)
}

fn audit_row(row: &Row) -> Result<AuditRow> {
    Ok(AuditRow {
        sequence: row.count("sequence")?,
        event_id: EventId(row.id("event_id")?),
        event_type: row.column("event_type")?,
        key_id: row.parsed_or_null("key_id")?,
        anchor_id: row.column::<Option<_>>("anchor_id")?.map(AnchorId),
        actor: row.column("actor")?,
        timestamp: row.time("timestamp")?,
        details: row.json("details")?,
    })
}

/// Only after [`head`] was seen to be the expected one, in the same commit.
pub(super) async fn write(commit: &mut Commit, append: &Append) -> Result<()> {
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
        let sql = "INSERT INTO signer.key_audit_log
                   (sequence, event_id, event_type, key_id, anchor_id, actor, timestamp, details, bytes)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let params: [&(dyn ToSql + Sync); 9] = [
            &integer(sequence),
            &event.id.0,
            &event.body.event_type(),
            &event.body.key_id().map(KeyId::as_str),
            &event.body.anchor_id().map(|id| id.0),
            &event.actor,
            &At(event.recorded_at),
            &json(&event.body.details())?,
            &bytes,
        ];
        commit.conn.execute(sql, &params).await?;
        commit.chain_event(sequence, &bytes);
    }
    projections::write_touched(&commit.conn, &append.events, &append.state).await
}

/// `*` stands for anything; what LIKE takes for itself is meant literally.
fn like(pattern: &str) -> String {
    let escaped = pattern
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    escaped.replace('*', "%")
}
