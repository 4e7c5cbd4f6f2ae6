//! What the server does without being asked. An embedded instance does none
//! of it.

use std::sync::Arc;
use std::time::Duration;

use stella_core::api::attestations::Retried;
use stella_store::Lead;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::turned;
use crate::app::App;
use crate::app::rescan::Pace;

const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

/// How exactly the moments of probes are kept to.
const PROBE_TICK: Duration = Duration::from_millis(250);

/// Side by side: while thousands of records are signed, the key store that
/// they wait for has to be probed. A signature that has
/// begun is finished before it stops.
pub async fn run(app: Arc<App>, stopped: watch::Receiver<bool>) {
    tokio::join!(
        sign(&app, stopped.clone()),
        probe(&app, stopped.clone()),
        be_seen(&app, stopped.clone()),
        judge_anew(&app, stopped.clone()),
        look_after(&app, stopped),
    );
}

async fn sign(app: &App, mut stopped: watch::Receiver<bool>) {
    let mut queue = ticks(app.settings.server.queue_interval);
    let end = stopped.clone();
    let go_on = || !*end.borrow();
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => return,
            () = app.signers.recovered.notified() => report(app.sign_waiting_while(&go_on).await),
            () = app.queued.notified() => report(app.sign_due_while(&go_on).await),
            _ = queue.tick() => report(app.sign_due_while(&go_on).await),
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

async fn be_seen(app: &App, mut stopped: watch::Receiver<bool>) {
    let mut heart = ticks(app.settings.server.heartbeat);
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => break,
            _ = heart.tick() => if let Err(e) = app.tell_of_itself().await {
                tracing::warn!(code = %e.code, "the other replicas could not be told of this one: {e}");
            },
        }
    }
    if let Err(e) = app.take_leave().await {
        tracing::warn!(code = %e.code, "the other replicas take this one for silent: {e}");
    }
}

/// What a change of trust touches, by one replica and at half a core's cost.
async fn judge_anew(app: &App, mut stopped: watch::Receiver<bool>) {
    let mut ticks = ticks(app.settings.server.rescan_interval);
    let mut lead = Led::nobody("rescan");
    let end = stopped.clone();
    let mut done_at = None;
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => return,
            _ = ticks.tick() => {}
        }
        if !lead.is_ours(app).await {
            done_at = None;
            continue;
        }
        match app.trust_head().await {
            Ok(trust) if done_at == Some(trust.head) => continue,
            Ok(_) => {}
            Err(e) => {
                tracing::warn!(code = %e.code, "nothing is judged anew: {e}");
                continue;
            }
        }
        let pace = Pace {
            go_on: &|| !*end.borrow(),
            budget: u64::MAX,
            rests: true,
            withdrawn: done_at.is_none(),
        };
        match app.rescan(&pace).await {
            Ok(done) => {
                done_at = done.done_at;
                if done.judged > 0 {
                    tracing::info!(
                        judged = done.judged,
                        flipped = done.flipped,
                        "attestations were judged anew"
                    );
                }
            }
            Err(e) => tracing::warn!(code = %e.code, "judging anew was broken off: {e}"),
        }
    }
}

/// What is done once for all replicas. Key stores are probed by each for
/// itself: how they stand is told apart by where they are asked from.
async fn look_after(app: &App, mut stopped: watch::Receiver<bool>) {
    let mut trim = ticks(TRIM_INTERVAL);
    let mut lead = Led::nobody("trim-log");
    loop {
        tokio::select! {
            biased;
            () = turned(&mut stopped) => return,
            _ = trim.tick() => if lead.is_ours(app).await {
                trim_log(app).await;
            },
        }
    }
}

/// A duty of one replica at a time. Whoever has it keeps it while it can, so
/// that the others need not do again what it did.
struct Led {
    duty: &'static str,
    lead: Option<Box<dyn Lead>>,
}

impl Led {
    fn nobody(duty: &'static str) -> Self {
        Self { duty, lead: None }
    }

    async fn is_ours(&mut self, app: &App) -> bool {
        if let Some(lead) = &self.lead
            && lead.stands().await
        {
            return true;
        }
        self.lead = None;
        match app.store.lead(self.duty).await {
            Ok(lead) => self.lead = lead,
            Err(e) => tracing::warn!(duty = self.duty, "nobody can lead it: {e}"),
        }
        self.lead.is_some()
    }
}

/// A round that took long is followed by a pause, not by those it missed.
fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
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
