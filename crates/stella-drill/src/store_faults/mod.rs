//! The faults of a store, one after another, while callers have statements
//! signed and one of them has an old one verified: a full disk, a database that
//! may only be read, one that is held by somebody else, stopped or without a
//! connection to spare, a clock that steps back, a server that is paused.
//!
//! Each fault has a bed of its own, and ends without any process being started
//! anew: what is asked after it must be answered by the servers that were there
//! before it.

mod bed;
mod faults;
mod load;

use std::fmt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Report, Result};
use bed::Bed;
use faults::Fault;
use load::Load;

#[derive(Debug, Clone)]
pub struct Plan {
    pub name: &'static str,
    /// Those that sign, without a pause to speak of.
    pub callers: usize,
    /// How long each fault lasts.
    pub hold: Duration,
    /// Only faults whose name contains it.
    pub only: Option<String>,
}

/// What one fault did.
#[derive(Debug, Clone)]
pub struct Row {
    pub fault: &'static str,
    pub store: &'static str,
    /// What callers were told most often while it lasted; or nothing at all.
    pub error: Option<String>,
    /// What whoever verified was told most often, where it was no verdict.
    pub verify: Option<String>,
    pub signed_before: u64,
    pub signed_during: u64,
    /// From the end of the fault until every server had signed a request that
    /// came after it.
    pub back: Option<Duration>,
    pub longest: Duration,
    pub acknowledged: u64,
    pub lost: Vec<String>,
}

pub const HEAD: &str = "| fault | store | callers are told | verifying | signed before, during | works again after | longest answer | acknowledged | lost |\n|---|---|---|---|---|---|---|---|---|";

/// Before a fault begins, and after it has ended.
const SETTLE: Duration = Duration::from_millis(700);
const STEP: Duration = Duration::from_millis(10);
/// A fault lasts at least this long where nobody was refused anything.
const NOTICED: Duration = Duration::from_secs(8);
/// For what comes back by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The faults that can be had here, and why the others cannot.
pub fn run(
    exe: &Path,
    plan: &Plan,
    progress: &dyn Fn(&Row, u64, u64),
    skipped: &dyn Fn(&'static str, &str),
) -> Result<Report> {
    let wanted = |fault: &&Fault| {
        plan.only
            .as_ref()
            .is_none_or(|only| fault.name.contains(only.as_str()))
    };
    let all = faults::all();
    let chosen: Vec<&Fault> = all.iter().filter(wanted).collect();
    let total = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
    let mut report = Report {
        name: plan.name,
        ..Report::default()
    };
    for (done, fault) in (1..).zip(chosen) {
        if let Err(why) = (fault.possible)() {
            skipped(fault.name, &why);
            continue;
        }
        let bed = Bed::make(exe, fault)?;
        let row = one(&bed, plan, fault)?;
        report.faults += 1;
        report.acknowledged += row.acknowledged;
        for lost in &row.lost {
            report.lost.push(format!("{}: {lost}", row.fault));
        }
        if row.back.is_none() {
            report.lost.push(format!("{}: it does not work again", row.fault));
        }
        progress(&row, done, total);
    }
    Ok(report)
}

fn one(bed: &Bed, plan: &Plan, fault: &Fault) -> Result<Row> {
    let load = Load::new(bed, plan.callers)?;
    let (before, during, back) = load.while_it_runs(|load| {
        sleep(SETTLE);
        let before = load.signed();
        load.fault_begins();
        let held = (fault.inject)(bed)?;
        let begun = Instant::now();
        sleep(plan.hold);
        // On a busy machine a short fault can pass before anybody notices.
        while !load.was_refused() && begun.elapsed() < NOTICED {
            sleep(STEP);
        }
        let during = load.signed() - before;
        load.fault_ends();
        (fault.mend)(bed, held)?;
        let mended = Instant::now();
        let back = loop {
            if let Some(back) = load.all_signed_since(mended) {
                break Some(back);
            }
            if mended.elapsed() > PATIENCE {
                break None;
            }
            sleep(STEP);
        };
        sleep(SETTLE);
        Ok((before, during, back))
    })?;
    let seen = load.into_seen();
    let lost = bed.lost(&seen.acknowledged)?;
    Ok(Row {
        fault: fault.name,
        store: bed.store(),
        error: load::most(&seen.errors),
        verify: load::most(&seen.verify_errors),
        signed_before: before,
        signed_during: during,
        back,
        longest: seen.longest,
        acknowledged: u64::try_from(seen.acknowledged.len()).unwrap_or(u64::MAX),
        lost: [lost, seen.lies].concat(),
    })
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |error: &Option<String>, nothing: &str| {
            let text = error.as_deref().unwrap_or(nothing);
            text.replace('|', "\\|")
        };
        let back = self
            .back
            .map_or_else(|| "never".to_owned(), |back| format!("{} ms", back.as_millis()));
        write!(
            f,
            "| {} | {} | {} | {} | {}, {} | {back} | {} ms | {} | {} |",
            self.fault,
            self.store,
            told(&self.error, "nothing: they are answered"),
            told(&self.verify, "answered"),
            self.signed_before,
            self.signed_during,
            self.longest.as_millis(),
            self.acknowledged,
            self.lost.len()
        )
    }
}
