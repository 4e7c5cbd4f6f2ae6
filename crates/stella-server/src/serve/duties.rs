//! What the server does without being asked. An embedded instance does none
//! of it.

use std::sync::Arc;
use std::time::Duration;

use stella_core::api::attestations::Retried;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::turned;
use crate::app::App;

const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

/// How exactly the moments of probes are kept to.
const PROBE_TICK: Duration = Duration::from_millis(250);

/// Side by side: while thousands of records are signed, the key store that
/// they wait for has to be probed. A round that has begun is finished before
/// it stops.
pub async fn run(app: Arc<App>, stopped: watch::Receiver<bool>) {
    tokio::join!(
        sign(&app, stopped.clone()),
        probe(&app, stopped.clone()),
        look_after(&app, stopped),
    );
}

async fn sign(app: &App, mut stopped: watch::Receiver<bool>) {
    let mut queue = ticks(app.settings.server.queue_interval);
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => return,
            () = app.signers.recovered.notified() => sign_waiting(app).await,
            () = app.queued.notified() => sign_due(app).await,
            _ = queue.tick() => sign_due(app).await,
        }
    }
}

async fn probe(app: &Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut probes = ticks(PROBE_TICK);
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => return,
            _ = probes.tick() => probe_stores(app).await,
        }
    }
}

async fn look_after(app: &App, mut stopped: watch::Receiver<bool>) {
    let mut trim = ticks(TRIM_INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => return,
            _ = trim.tick() => trim_log(app).await,
        }
    }
}

/// A round that took long is followed by a pause, not by those it missed.
fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn sign_due(app: &App) {
    report(app.sign_due().await);
}

async fn sign_waiting(app: &App) {
    report(app.sign_waiting().await);
}

async fn probe_stores(app: &Arc<App>) {
    if let Err(e) = app.probe_stores().await {
        tracing::warn!(code = %e.code, "the key stores could not be probed: {e}");
    }
}

fn report(round: crate::app::Result<Retried>) {
    match round {
        Ok(done) if done.tried == 0 => {}
        Ok(done) => tracing::info!(
            tried = done.tried,
            signed = done.signed,
            unsigned = done.still_unsigned,
            "unsigned records were tried again"
        ),
        Err(e) => tracing::warn!(code = %e.code, "the queue of unsigned records could not be worked on: {e}"),
    }
}

async fn trim_log(app: &App) {
    let before = app.now().saturating_sub(app.settings.server.log_retention);
    match app.store.trim_log(before).await {
        Ok(0) => {}
        Ok(lines) => tracing::info!(lines, "trimmed the operations log"),
        Err(e) => tracing::warn!("the operations log could not be trimmed: {e}"),
    }
}
