//! Whether the store takes writes and its log stands where it should; `db
//! verify` reads the whole of it.

use std::sync::Arc;
use std::time::Instant;

use super::{Check, Finding};
use crate::app::{App, Permission, Result};

pub const CHECK: Check = Check {
    id: "check.store.integrity-light",
    about: "the store takes a durable write, and its log of events ends in its hash chain",
    needs: Permission::ReadStatus,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let place = app.store.describe().await?;
    let started = Instant::now();
    app.store.probe().await?;
    let took = started.elapsed().as_secs_f64() * 1_000.0;
    let written = Finding::pass(format!(
        "{} {} (schema {}) kept a durable write in {took:.1} ms",
        place.driver, place.place, place.schema_version
    ));
    let trust = app.trust_head().await?;
    if trust.head == 0 {
        return Ok(vec![written, Finding::pass("no events yet")]);
    }
    let chain = match app.store.chain_head(trust.head).await? {
        Some(_) => Finding::pass(format!("event {} is the end of the hash chain", trust.head)),
        None => Finding::fail(
            format!("event {} is not in the hash chain", trust.head),
            "rows were changed by something other than this program, or the file is damaged",
            "stella db verify",
        ),
    };
    Ok(vec![written, chain])
}
