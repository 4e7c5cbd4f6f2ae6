//! The faults of hardware keys, one after another, while eight callers have
//! statements signed by a server: its active key on a SoftHSM that fails as it
//! is told or is changed behind the worker's back, or is at the other end of a
//! network; its standby key on another.
//!
//! Every request must be answered signed, or recorded and signed later, and no
//! signature that is handed out may be wrong.

mod bed;
mod faults;
mod load;
mod server;

use std::fmt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Report, Result};
use bed::Bed;
use faults::Fault;
use load::Load;

const NAME: &str = "hsm";

#[derive(Debug, Clone)]
pub struct Plan {
    /// Those that sign, without a pause to speak of.
    pub callers: usize,
    /// How long each fault lasts.
    pub hold: Duration,
    /// `signing.deadline`.
    pub deadline: Duration,
    /// Only faults whose name contains it.
    pub only: Option<String>,
}

/// What one fault did.
#[derive(Debug, Clone)]
pub struct Row {
    pub fault: &'static str,
    /// Why the standby key stood in, most often.
    pub error: Option<String>,
    /// Whether the standby key signed at the end of the fault.
    pub backup: bool,
    /// Of the primary, then.
    pub breaker: String,
    /// From the beginning of the fault to the standby key's first signature.
    pub again: Option<Duration>,
    /// From the end of the fault to the primary's next signature; what an
    /// operator has to do is done at that end.
    pub back: Option<Duration>,
    pub mended_by: &'static str,
    /// That anybody waited for an answer.
    pub longest: Duration,
    pub signed: u64,
    pub stood_in: u64,
    pub recorded: u64,
    pub lost: Vec<String>,
    pub wrong: u64,
}

pub fn run(exe: &Path, plan: &Plan, progress: &dyn Fn(&Row, u64, u64)) -> Result<Report> {
    let mut rows = Vec::new();
    let all = faults::all();
    let chosen: Vec<&Fault> = all
        .iter()
        .filter(|fault| {
            plan.only
                .as_ref()
                .is_none_or(|only| fault.name.contains(only.as_str()))
        })
        .collect();
    let total = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
    for (done, fault) in (1..).zip(chosen) {
        // A bed of its own for each: none inherits what another left.
        let bed = Bed::new(exe, plan, fault.linked)?;
        let row = one(&bed, plan, fault)?;
        progress(&row, done, total);
        rows.push(row);
    }
    Ok(report(&rows))
}

fn one(bed: &Bed, plan: &Plan, fault: &Fault) -> Result<Row> {
    let load = Load::new(&bed.server, plan.callers);
    let (began, backup, breaker, back) = load.while_it_runs(|load| {
        sleep(SETTLE);
        load.begin();
        let began = Instant::now();
        (fault.inject)(bed)?;
        sleep(plan.hold);
        let backup = load.backup_signs();
        let breaker = bed.server.breaker()?;
        (fault.mend)(bed)?;
        let mended = Instant::now();
        let back = loop {
            if let Some(at) = load.primary_signed_since(mended) {
                break Some(at);
            }
            if mended.elapsed() > PATIENCE {
                break None;
            }
            sleep(STEP);
        };
        sleep(SETTLE);
        Ok((began, backup, breaker, back))
    })?;
    let seen = load.ended(PATIENCE);
    Ok(Row {
        fault: fault.name,
        error: bed.server.mostly()?,
        backup,
        breaker,
        again: seen
            .backup_first
            .map(|signed| signed.saturating_duration_since(began)),
        back,
        mended_by: fault.mended_by,
        longest: seen.longest,
        signed: seen.signed,
        stood_in: seen.stood_in,
        recorded: u64::try_from(seen.recorded.len()).unwrap_or(u64::MAX),
        lost: seen.lost,
        wrong: seen.wrong,
    })
}

fn report(rows: &[Row]) -> Report {
    let mut lost = Vec::new();
    for row in rows {
        if let Some(first) = row.lost.first() {
            lost.push(format!(
                "{}: {} requests, such as {first}",
                row.fault,
                row.lost.len()
            ));
        }
        if row.wrong > 0 {
            lost.push(format!("{}: {} signatures were wrong", row.fault, row.wrong));
        }
        if row.back.is_none() {
            lost.push(format!("{}: the primary never signed again", row.fault));
        }
    }
    Report {
        name: NAME,
        faults: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        acknowledged: rows.iter().map(|row| row.signed + row.recorded).sum(),
        lost,
    }
}

/// Of the table in Markdown that the rows make.
pub const HEAD: &str = "\
| fault | why the standby key stood in | signs at its end | breaker | standby after | primary back | mended by | longest request | signed | of that by standby | recorded, then signed | lost | wrong |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |time: Option<Duration>| {
            time.map_or_else(|| "never".to_owned(), |time| format!("{} ms", time.as_millis()))
        };
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {} ms | {} | {} | {} | {} | {} |",
            self.fault,
            self.error.as_deref().unwrap_or("it did not"),
            if self.backup { "standby" } else { "primary" },
            self.breaker,
            after(self.again),
            after(self.back),
            self.mended_by,
            self.longest.as_millis(),
            self.signed,
            self.stood_in,
            self.recorded,
            self.lost.len(),
            self.wrong,
        )
    }
}

/// With nothing wrong, before and after.
const SETTLE: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(2);
/// The primary is given up after so long.
const PATIENCE: Duration = Duration::from_secs(20);
