//! `/v1/audit`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stella_core::api::audit::AuditList;
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::Query;
use crate::app::audit::AuditQuery;
use crate::app::{App, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// KEY_ADDED, or KEY_* for all that begin so.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    #[serde(alias = "keyid")]
    pub key_id: Option<String>,
    pub anchor_id: Option<String>,
    pub actor: Option<String>,
    /// RFC 3339, or a date.
    pub from: Option<String>,
    /// RFC 3339 (exclusive), or a date (to its end).
    pub to: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

/// Events, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Filter),
    responses((status = 200, description = "a page of events", body = AuditList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn query(State(app): State<Arc<App>>, Query(filter): Query<Filter>) -> Result<Json<AuditList>> {
    app.audit(AuditQuery {
        event_type: filter.event_type,
        key_id: filter.key_id,
        anchor_id: filter.anchor_id,
        actor: filter.actor,
        from: filter.from,
        to: filter.to,
        cursor: filter.cursor,
        limit: filter.limit,
    })
    .await
    .map(Json)
}
