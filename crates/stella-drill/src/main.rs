//! `./drill NAME`.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use stella_drill::{Report, Result, hsm, kill_postgres, kill_sqlite, store_faults};

/// Long fault and kill drills: exit 0 when nothing was lost
#[derive(Parser)]
#[command(name = "drill")]
struct Drill {
    /// The program to drill
    #[arg(long, env = "STELLA_EXE", value_name = "FILE")]
    exe: PathBuf,
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {
    /// kill -9 of commands and servers on one SQLite home
    KillSqlite {
        /// How many processes are killed while they work
        #[arg(long, default_value_t = 200)]
        kills: u64,
        /// Chooses the instants
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Processes that sign at once
        #[arg(long, default_value_t = 3)]
        signers: u64,
    },
    /// kill -9 of servers, workers and the database on one PostgreSQL
    KillPostgres {
        /// How many servers and workers are killed while they work
        #[arg(long, default_value_t = 200)]
        kills: u64,
        /// How often PostgreSQL is killed, beside those
        #[arg(long, default_value_t = 20)]
        crashes: u64,
        /// Chooses the instants
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Servers that share the database
        #[arg(long, default_value_t = 3)]
        replicas: u64,
        /// Those that ask at once
        #[arg(long, default_value_t = 6)]
        callers: u64,
        /// Sign in software alone, without a token and its workers
        #[arg(long)]
        software: bool,
    },
    /// A full disk under SQLite and under PostgreSQL's tables, while callers sign
    DiskFull(Faults),
    /// The faults of a store one by one, while callers sign
    StoreFaults(Faults),
    /// The faults of hardware keys, one by one, while callers sign
    Hsm {
        /// Those that sign at once
        #[arg(long, default_value_t = 8)]
        callers: usize,
        /// How long each fault lasts
        #[arg(long, default_value_t = 1500)]
        hold_ms: u64,
        /// `signing.deadline`: within which a request has its signature
        #[arg(long, default_value_t = 1000)]
        deadline_ms: u64,
        /// Only the faults whose name contains this
        #[arg(long)]
        only: Option<String>,
    },
}

#[derive(clap::Args)]
struct Faults {
    /// Those that sign at once
    #[arg(long, default_value_t = 6)]
    callers: usize,
    /// How long each fault lasts
    #[arg(long, default_value_t = 60_000)]
    hold_ms: u64,
    /// Only the faults whose name contains this
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    let drill = Drill::parse();
    match run(&drill) {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(!report.lost.is_empty()))
        }
        Err(why) => {
            eprintln!("error: the drill could not go on: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(drill: &Drill) -> Result<Report> {
    match &drill.name {
        &Name::KillSqlite { kills, seed, signers } => {
            let bar = ProgressBar::new(kills).with_style(style());
            let plan = kill_sqlite::Plan { kills, seed, signers };
            let report = kill_sqlite::run(&drill.exe, &plan, &|done| bar.set_position(done));
            bar.finish_and_clear();
            report
        }
        &Name::KillPostgres {
            kills,
            crashes,
            seed,
            replicas,
            callers,
            software,
        } => {
            let bar = ProgressBar::new(kills + crashes).with_style(style());
            let plan = kill_postgres::Plan {
                kills,
                crashes,
                seed,
                replicas,
                callers,
                token: !software,
            };
            let report =
                kill_postgres::run(&drill.exe.canonicalize()?, &plan, &|done| bar.set_position(done));
            bar.finish_and_clear();
            report
        }
        Name::DiskFull(faults) => store_faults(drill, "disk-full", faults, Some("disk is full")),
        Name::StoreFaults(faults) => store_faults(drill, "store-faults", faults, faults.only.as_deref()),
        Name::Hsm {
            callers,
            hold_ms,
            deadline_ms,
            only,
        } => {
            let plan = hsm::Plan {
                callers: (*callers).max(1),
                hold: Duration::from_millis(*hold_ms),
                deadline: Duration::from_millis(*deadline_ms),
                only: only.clone(),
            };
            let bar = ProgressBar::new(1).with_style(style());
            println!("{}", hsm::HEAD);
            let longest = Cell::new((Duration::ZERO, ""));
            let report = hsm::run(&drill.exe.canonicalize()?, &plan, &|row, done, of| {
                bar.suspend(|| println!("{row}"));
                longest.set(longest.get().max((row.longest, row.fault)));
                bar.set_length(of);
                bar.set_position(done);
            });
            bar.finish_and_clear();
            let (took, fault) = longest.get();
            println!(
                "longest request: {} ms of {deadline_ms} ms and 100 ({fault})",
                took.as_millis()
            );
            report
        }
    }
}

fn store_faults(drill: &Drill, name: &'static str, faults: &Faults, only: Option<&str>) -> Result<Report> {
    let plan = store_faults::Plan {
        name,
        callers: faults.callers,
        hold: Duration::from_millis(faults.hold_ms),
        only: only.map(str::to_owned),
    };
    let bar = ProgressBar::new(1).with_style(style());
    println!("{}", store_faults::HEAD);
    let done = |row: &store_faults::Row, done, of| {
        bar.suspend(|| println!("{row}"));
        bar.set_length(of);
        bar.set_position(done);
    };
    let skipped = |fault: &'static str, why: &str| bar.suspend(|| println!("skipped: {fault}: {why}"));
    let report = store_faults::run(&drill.exe.canonicalize()?, &plan, &done, &skipped);
    bar.finish_and_clear();
    report
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}[{elapsed}] {wide_bar} {pos}/{len} faults")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
