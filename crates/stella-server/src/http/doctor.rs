//! `/v1/doctor`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stella_core::api::doctor::DoctorReport;
use stella_core::api::problem::Problem;
use utoipa::IntoParams;

use super::extract::Query;
use crate::app::{App, Caller, Result};
use crate::doctor::{self, Request};

#[derive(Debug, Deserialize, IntoParams)]
pub struct DoctorQuery {
    /// Ids of checks, separated by commas; without any every check is made.
    pub check: Option<String>,
    /// Tell of those too that have nothing to look at here.
    #[serde(default)]
    pub all: bool,
}

/// What works, what does not, and the command that mends it. The answer is 200
/// whatever was found; its status says what.
#[utoipa::path(get, path = "/v1/doctor", tag = "status", params(DoctorQuery),
    responses((status = 200, description = "what was found", body = DoctorReport), (status = "4XX", description = "refused", body = Problem)))]
pub async fn examine(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<DoctorQuery>,
) -> Result<Json<DoctorReport>> {
    let checks = query.check.iter().flat_map(|ids| ids.split(','));
    let request = Request {
        checks: checks
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect(),
        all: query.all,
    };
    doctor::examine(&app, &caller, &request).await.map(Json)
}
