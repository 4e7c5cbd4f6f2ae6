//! `/v1/audit`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use stella_core::api::audit::AuditList;
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use crate::app::audit::AuditQuery;
use crate::app::{App, Result};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub struct AuditParameters {
    /// An event type, or its beginning and `*`.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    pub key_id: Option<String>,
    pub anchor_id: Option<String>,
    pub actor: Option<String>,
    /// RFC 3339 or a date.
    pub from: Option<String>,
    /// RFC 3339 (exclusive), or a date (the whole day counts).
    pub to: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

/// The audit trail, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditParameters),
    responses((status = 200, description = "the events", body = AuditList), (status = "4XX", description = "refused", body = Problem)))]
pub async fn query(
    State(app): State<Arc<App>>,
    Query(asked): Query<AuditParameters>,
) -> Result<Json<AuditList>> {
    app.audit(AuditQuery {
        event_type: asked.event_type,
        key_id: asked.key_id,
        anchor_id: asked.anchor_id,
        actor: asked.actor,
        from: asked.from,
        to: asked.to,
        cursor: asked.cursor,
        limit: asked.limit,
    })
    .await
    .map(Json)
}
