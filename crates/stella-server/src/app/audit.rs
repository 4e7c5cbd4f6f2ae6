//! `audit query`.

use stella_core::api::audit::{AuditEvent, AuditList};
use stella_store::AuditFilter;

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::app::values;

/// As asked, in text.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    pub event_type: Option<String>,
    pub key_id: Option<String>,
    pub anchor_id: Option<String>,
    pub actor: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

impl App {
    /// Newest first.
    pub async fn audit(&self, query: AuditQuery) -> Result<AuditList> {
        let now = self.now();
        let most = self.settings.limits.max_list;
        let limit = query.limit.unwrap_or(most).clamp(1, most);
        let anchor_id = match &query.anchor_id {
            Some(text) => Some(values::anchor(&*self.trust_head().await?, text)?.id),
            None => None,
        };
        let before = query
            .cursor
            .map(|c| {
                c.parse()
                    .map_err(|_| Error::invalid("cursor", "the cursor is not one that was given out"))
            })
            .transpose()?;
        let filter = AuditFilter {
            event_type: query.event_type,
            key_id: query.key_id.as_deref().map(values::key_id).transpose()?,
            anchor_id,
            actor: query.actor,
            from: query.from.as_deref().map(|t| values::time(t, now)).transpose()?,
            to: query
                .to
                .as_deref()
                .map(|t| values::range_end(t, now))
                .transpose()?,
            before,
            limit: limit + 1,
        };
        let mut rows = self.store.audit(filter).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|r| r.sequence.to_string());
        let events = rows
            .into_iter()
            .map(|r| AuditEvent {
                sequence: r.sequence,
                event_id: r.event_id.to_string(),
                event_type: r.event_type,
                key_id: r.key_id.map(String::from),
                anchor_id: r.anchor_id.map(|id| id.to_string()),
                actor: r.actor,
                timestamp: r.timestamp.to_string(),
                details: r.details,
            })
            .collect();
        Ok(AuditList { events, next_cursor })
    }
}
