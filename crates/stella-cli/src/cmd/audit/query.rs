//! `audit query`.

use clap::Args;
use stella_core::api::audit::AuditList;

use crate::api::Route;
use crate::args::time::Moment;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Events of keys, anchors, settings and statements
#[derive(Args)]
pub struct Query {
    /// KEY_GENERATED, or KEY_* for all that begin so
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// RFC 3339, or a date
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// RFC 3339, or a date (the whole day)
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// Only events of this key
    #[arg(long, alias = "key", value_name = "KEY_ID")]
    key_id: Option<String>,
    /// Only events of this anchor
    #[arg(long, alias = "anchor", value_name = "ANCHOR_ID")]
    anchor_id: Option<String>,
    /// Who did it
    #[arg(long)]
    actor: Option<String>,
    /// How many on a page
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Read on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl Query {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["audit"])
            .with("type", self.event_type)
            .with("from", self.from.map(String::from))
            .with("to", self.to.map(String::from))
            .with("keyId", self.key_id)
            .with("anchorId", self.anchor_id)
            .with("actor", self.actor)
            .with("limit", self.limit)
            .with("cursor", self.cursor);
        let list: AuditList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            let rows = list.events.iter().map(|event| {
                [
                    event.timestamp.clone(),
                    event.event_type.clone(),
                    event.key_id.clone().unwrap_or_else(|| "-".into()),
                    event.anchor_id.clone().unwrap_or_else(|| "-".into()),
                    event.actor.clone(),
                    event.details.to_string(),
                ]
            });
            let header = [
                "Timestamp",
                "Event Type",
                "Key ID",
                "Anchor ID",
                "Actor",
                "Details",
            ];
            page.table(header, rows, "no events match");
        })?;
        if let Some(cursor) = &list.next_cursor {
            context
                .printer
                .note(&format!("there are more: --cursor {cursor}"));
        }
        Ok(Exit::Done)
    }
}
