//! Whether this machine's clock can be believed.

use std::sync::Arc;

use super::{Check, Finding};
use crate::app::{App, Permission, Result};
use crate::clock::is_plausible;

pub const CHECK: Check = Check {
    id: "check.clock",
    about: "the clock is plausible and not behind what was recorded by it",
    needs: Permission::ReadStatus,
    examine: |app| Box::pin(examine(app)),
};

const SET_IT: &str = "timedatectl set-ntp true";

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let now = app.now();
    if !is_plausible(now) {
        return Ok(vec![Finding::fail(
            format!("the clock says {now}"),
            "it was never set, or its battery is empty",
            SET_IT,
        )]);
    }
    let trust = app.trust_head().await?;
    let Some(last) = trust.recorded_at.filter(|last| now < *last) else {
        return Ok(vec![Finding::pass(format!("the clock says {now}"))]);
    };
    let behind = last.since(now);
    let measured = format!(
        "the clock says {now}, {} s before the last event ({last})",
        behind.as_secs_f64()
    );
    Ok(vec![if behind <= app.settings.doctor.clock_tolerance {
        Finding::pass(measured)
    } else {
        Finding::fail(
            measured,
            "it was set back, or another replica's clock is ahead; until it catches up everything is recorded with the time of that event",
            SET_IT,
        )
    }])
}
