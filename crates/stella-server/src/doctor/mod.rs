//! `doctor`: what works, what does not, and the command that mends it. A check
//! is a file here and a line in [`CHECKS`]; its id never changes.

mod anchor_keys;
mod clock;
mod fallback_ready;
mod finding;
mod hsm_availability;
mod key_rotation;
mod local_hsms;
mod probe;
mod replicas;
mod signing_health;
mod store_integrity;
mod verification_health;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use stella_core::api::doctor::{DoctorCheck, DoctorFinding, DoctorReport, Health};
use tokio::task::JoinSet;

use crate::app::{App, Caller, Error, Permission, Result};
use crate::config::nearest;
use finding::Finding;

pub const CHECKS: &[Check] = &[
    signing_health::CHECK,
    verification_health::CHECK,
    hsm_availability::CHECK,
    fallback_ready::CHECK,
    store_integrity::CHECK,
    replicas::CHECK,
    clock::CHECK,
    key_rotation::CHECK,
    anchor_keys::CHECK,
];

pub struct Check {
    pub id: &'static str,
    /// The question it answers.
    pub about: &'static str,
    /// Its findings name what only this permission shows.
    needs: Permission,
    /// An error is a finding too: what it needed to look could not be had.
    examine: fn(Arc<App>) -> Examination,
}

type Examination = Pin<Box<dyn Future<Output = Result<Vec<Finding>>> + Send>>;

#[derive(Debug, Clone, Default)]
pub struct Request {
    /// These checks; none means every one.
    pub checks: Vec<String>,
    /// Tell of those too that have nothing to look at here.
    pub all: bool,
}

/// One examination at a time: whoever may ask must not be able to keep every
/// key store busy by asking often.
#[derive(Default)]
pub struct Turn(tokio::sync::Mutex<()>);

/// The checks run side by side, each within `doctor.check_timeout`.
pub async fn examine(app: &Arc<App>, caller: &Caller, request: &Request) -> Result<DoctorReport> {
    let chosen = choose(&request.checks)?;
    let _turn = app.doctor.0.lock().await;
    let mut running = JoinSet::new();
    for (place, check) in chosen.into_iter().enumerate() {
        let allowed = caller.require(check.needs).is_ok();
        let app = Arc::clone(app);
        running.spawn(async move { (place, look(check, app, allowed).await) });
    }
    let mut checks = Vec::new();
    while let Some(done) = running.join_next().await {
        checks.push(done.map_err(|e| Error::internal(format!("a check broke off: {e}")))?);
    }
    checks.sort_by_key(|(place, _)| *place);
    let by_name = !request.checks.is_empty();
    let checks: Vec<DoctorCheck> = checks
        .into_iter()
        .map(|(_, check)| check)
        .filter(|check| request.all || by_name || check.status != Health::Skip)
        .collect();
    Ok(DoctorReport {
        target: app.target.place.clone(),
        mode: app.target.mode.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: worst(checks.iter().map(|check| check.status)),
        checks,
    })
}

fn choose(ids: &[String]) -> Result<Vec<&'static Check>> {
    if ids.is_empty() {
        return Ok(CHECKS.iter().collect());
    }
    if let Some(unknown) = ids.iter().find(|id| CHECKS.iter().all(|c| c.id != **id)) {
        return Err(unknown_check(unknown));
    }
    Ok(CHECKS
        .iter()
        .filter(|check| ids.iter().any(|id| id == check.id))
        .collect())
}

fn unknown_check(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    let near = nearest(id, CHECKS.iter().map(|check| check.id));
    Error::not_found(
        "doctor.unknown-check",
        format!("no check named {shown}; did you mean {near}?"),
    )
    .next("stella doctor --all names every check")
}

async fn look(check: &'static Check, app: Arc<App>, allowed: bool) -> DoctorCheck {
    let started = Instant::now();
    let findings = if allowed {
        within_its_time(check, app).await
    } else {
        vec![Finding::skip("your role may not see what this check looks at")]
    };
    let findings: Vec<DoctorFinding> = findings.into_iter().map(Into::into).collect();
    DoctorCheck {
        id: check.id.to_owned(),
        about: check.about.to_owned(),
        status: worst(findings.iter().map(|finding| finding.status)),
        findings,
        milliseconds: started.elapsed().as_secs_f64() * 1_000.0,
    }
}

async fn within_its_time(check: &Check, app: Arc<App>) -> Vec<Finding> {
    let limit = app.settings.doctor.check_timeout;
    match tokio::time::timeout(limit, (check.examine)(app)).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding::from_error(&error)],
        Err(_) => vec![Finding::fail(
            format!("no answer within {limit:?} (doctor.check_timeout)"),
            "something that it asks does not answer",
            "stella attest logs --level warn --last 30m",
        )],
    }
}

fn worst(all: impl Iterator<Item = Health>) -> Health {
    all.max().unwrap_or(Health::Skip)
}
