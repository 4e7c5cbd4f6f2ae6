//! `audit query`: the events, newest first.

use stella_core::api::audit::{AuditEvent, AuditList};
use stella_store::{AuditFilter, AuditRow};

use crate::app::error::{Error, Result};
use crate::app::{App, values};

/// As written in the request.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// `KEY_ADDED`, or `KEY_*` for all that begin so.
    pub event_type: Option<String>,
    pub key_id: Option<String>,
    pub anchor_id: Option<String>,
    pub actor: Option<String>,
    pub from: Option<String>,
    /// A bare date means to the end of that day.
    pub to: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

impl App {
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditList> {
        let page = self.page(query.limit)?;
        let mut filter = self.audit_filter(query).await?;
        filter.limit = page.asked();
        let mut rows = self.store.audit(filter).await?;
        let more = page.cut(&mut rows);
        Ok(AuditList {
            next_cursor: rows.last().filter(|_| more).map(|r| r.sequence.to_string()),
            events: rows.into_iter().map(event).collect(),
        })
    }

    async fn audit_filter(&self, query: AuditQuery) -> Result<AuditFilter> {
        let given = |text: Option<String>| text.filter(|t| !t.is_empty());
        let now = self.now();
        let from = given(query.from).map(|t| values::time(&t, now)).transpose()?;
        let to = given(query.to).map(|t| values::range_end(&t, now)).transpose()?;
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            return Err(Error::invalid(
                "audit.range",
                format!("from {from} to {to} is no span of time"),
            ));
        }
        let anchor_id = match given(query.anchor_id) {
            None => None,
            Some(text) => Some(values::anchor(self.trust_head().await?.as_ref(), &text)?.id),
        };
        let before = given(query.cursor)
            .map(|c| {
                c.parse::<u64>()
                    .map_err(|_| Error::invalid("list.cursor", "this is no cursor of a listing"))
            })
            .transpose()?;
        Ok(AuditFilter {
            event_type: given(query.event_type).map(|t| event_type(&t)).transpose()?,
            key_id: given(query.key_id).map(|k| values::key_id(&k)).transpose()?,
            anchor_id,
            actor: given(query.actor),
            from,
            to,
            before,
            limit: 0,
        })
    }
}

fn event_type(text: &str) -> Result<String> {
    let text = text.to_ascii_uppercase();
    let word = text.strip_suffix('*').unwrap_or(&text);
    if word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return Ok(text);
    }
    Err(Error::invalid(
        "audit.type",
        format!("{text:?} is no event type: write KEY_ADDED, or KEY_* for all that begin so"),
    ))
}

fn event(row: AuditRow) -> AuditEvent {
    AuditEvent {
        sequence: row.sequence,
        event_id: row.event_id.to_string(),
        event_type: row.event_type,
        key_id: row.key_id.map(|k| k.to_string()),
        anchor_id: row.anchor_id.map(|a| a.to_string()),
        actor: row.actor,
        timestamp: row.timestamp.to_string(),
        details: row.details,
    }
}
