//! The faults of hardware keys, one after another, while eight callers sign:
//! a SoftHSM that fails as it is told or is changed behind the worker's back,
//! one at the other end of a network, and a clone of it to fall back on.
//!
//! Nobody's request may stay without a signature, and no signature that is
//! handed out may be wrong.

mod bed;
mod failover;
mod faults;
mod load;

use std::fmt;
use std::path::{Path, PathBuf};
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
    /// Within which the module must answer.
    pub deadline: Duration,
    /// Only faults whose name contains it.
    pub only: Option<String>,
}

/// What one fault did.
#[derive(Debug, Clone)]
pub struct Row {
    pub fault: &'static str,
    /// What callers of the primary were told most often.
    pub error: Option<String>,
    /// Of the breaker, at the end of the fault.
    pub open: bool,
    /// From the first failure to the next signature, by whichever key.
    pub again: Duration,
    /// From the end of the fault to the primary's next signature; what an
    /// operator has to do is done at that end.
    pub back: Option<Duration>,
    pub mended_by: &'static str,
    pub longest: Duration,
    pub signed: u64,
    pub lost: u64,
    pub wrong: u64,
}

pub fn run(worker: &Path, plan: &Plan, progress: &dyn Fn(&Row, u64, u64)) -> Result<Report> {
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
        let bed = Bed::new(worker, plan, fault.linked)?;
        let row = one(&bed, plan, fault)?;
        progress(&row, done, total);
        rows.push(row);
    }
    Ok(report(&rows))
}

fn one(bed: &Bed, plan: &Plan, fault: &Fault) -> Result<Row> {
    let load = Load::new(bed.failover(), plan.callers);
    load.while_it_runs(|load| {
        sleep(SETTLE);
        load.begin();
        (fault.inject)(bed)?;
        sleep(plan.hold);
        let open = bed.failover().is_open();
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
        let seen = load.seen();
        Ok(Row {
            fault: fault.name,
            error: seen.mostly(),
            open,
            again: seen.again,
            back,
            mended_by: fault.mended_by,
            longest: seen.longest,
            signed: seen.signed,
            lost: seen.lost,
            wrong: seen.wrong,
        })
    })
}

fn report(rows: &[Row]) -> Report {
    let mut lost = Vec::new();
    for row in rows {
        if row.lost > 0 {
            lost.push(format!("{}: {} requests got no signature", row.fault, row.lost));
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
        acknowledged: rows.iter().map(|row| row.signed).sum(),
        lost,
    }
}

/// Of the table in Markdown that the rows make.
pub const HEAD: &str = "\
| fault | what the caller of the primary sees | breaker | signing again | primary back | mended by | longest request | requests | lost | wrong |
|---|---|---|---|---|---|---|---|---|---|";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = match self.back {
            Some(back) => format!("{} ms", back.as_millis()),
            None => "never".to_owned(),
        };
        write!(
            f,
            "| {} | {} | {} | {} ms | {back} | {} | {} ms | {} | {} | {} |",
            self.fault,
            self.error.as_deref().unwrap_or("nothing"),
            if self.open { "open" } else { "closed" },
            self.again.as_millis(),
            self.mended_by,
            self.longest.as_millis(),
            self.signed + self.lost + self.wrong,
            self.lost,
            self.wrong,
        )
    }
}

/// `STELLA_EXE`, as a worker is started from it.
pub fn worker(exe: &Path) -> Result<PathBuf> {
    Ok(exe.canonicalize()?)
}

/// With nothing wrong, before and after.
const SETTLE: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(2);
/// The primary is given up after so long.
const PATIENCE: Duration = Duration::from_secs(20);
