//! Each fault: on what, how it is done, and how it is undone.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::bed::{Bed, Disk, no_postgres};
use crate::{Result, Stuck};

pub struct Fault {
    pub name: &'static str,
    pub on: On,
    /// The store is on a disk of its own of so many mebibytes.
    pub disk: Option<u32>,
    /// The servers' clock can be set.
    pub own_clock: bool,
    /// Or why it cannot be had here.
    pub possible: fn() -> std::result::Result<(), String>,
    pub inject: fn(&Bed) -> Result<Held>,
    pub mend: fn(&Bed, Held) -> Result<()>,
}

#[derive(Debug, Clone, Copy)]
pub enum On {
    Sqlite,
    Postgres { replicas: usize },
}

/// Processes that are the fault as long as they run.
pub type Held = Vec<Child>;

const TWO: On = On::Postgres { replicas: 2 };

pub fn all() -> Vec<Fault> {
    let plain = |name, on, inject, mend| Fault {
        name,
        on,
        disk: None,
        own_clock: false,
        possible: || Ok(()),
        inject,
        mend,
    };
    vec![
        Fault {
            disk: Some(256),
            possible: mounts,
            ..plain("the disk is full", On::Sqlite, fill, free)
        },
        Fault {
            disk: Some(64),
            possible: mounts,
            ..plain("the disk is full (tables)", TWO, fill, free)
        },
        plain(
            "somebody holds the write lock",
            On::Sqlite,
            begin_immediate,
            end_held,
        ),
        plain("somebody holds a lock on a table", TWO, lock_table, end_held),
        plain("the database may only be read", TWO, read_only, writable),
        plain("no connection is left", TWO, take_connections, end_held),
        plain("the database is stopped", TWO, stop_database, go_on_database),
        plain("the server is paused", On::Sqlite, pause, go_on),
        plain("one of two servers is paused", TWO, pause, go_on),
        Fault {
            own_clock: true,
            possible: lies,
            ..plain(
                "the clock steps back an hour",
                On::Sqlite,
                an_hour_back,
                right_time,
            )
        },
        Fault {
            own_clock: true,
            possible: lies,
            ..plain(
                "the clock of both servers steps back an hour",
                TWO,
                an_hour_back,
                right_time,
            )
        },
    ]
}

/// Not every root may: containers mostly keep that from theirs.
fn mounts() -> std::result::Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let tried = Disk::mount(&folder.path().join("disk"), 1);
    tried
        .map(drop)
        .map_err(|why| format!("no small file system can be mounted: {why}"))
}

fn lies() -> std::result::Result<(), String> {
    faketime()
        .map(drop)
        .ok_or_else(|| "libfaketime is not installed".to_owned())
}

pub fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    folders
        .map(|entry| library(entry.path()))
        .chain([library(PathBuf::from("/usr/lib"))])
        .find(|path: &PathBuf| Path::exists(path))
}

fn fill(bed: &Bed) -> Result<Held> {
    let disk = bed
        .disk
        .as_ref()
        .ok_or_else(|| Stuck("no disk of its own".to_owned()))?;
    disk.fill()?;
    Ok(Vec::new())
}

fn free(bed: &Bed, _: Held) -> Result<()> {
    let disk = bed
        .disk
        .as_ref()
        .ok_or_else(|| Stuck("no disk of its own".to_owned()))?;
    disk.free()
}

fn begin_immediate(bed: &Bed) -> Result<Held> {
    let server = bed.servers.first().ok_or_else(|| Stuck("no server".to_owned()))?;
    let mut holder = Command::new("sqlite3")
        .arg(server.instance.home().join("stella.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let input = holder
        .stdin
        .as_mut()
        .ok_or_else(|| Stuck("no input".to_owned()))?;
    writeln!(input, ".timeout 60000\nBEGIN IMMEDIATE;\nSELECT 'held';")?;
    let output = holder
        .stdout
        .as_mut()
        .ok_or_else(|| Stuck("no output".to_owned()))?;
    output.read_exact(&mut [0; 4])?;
    Ok(vec![holder])
}

fn lock_table(bed: &Bed) -> Result<Held> {
    Ok(vec![session(
        bed,
        "BEGIN; LOCK TABLE signer.attestations IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)",
    )?])
}

fn session(bed: &Bed, sql: &str) -> Result<Child> {
    let (postgres, database) = bed.postgres.as_ref().ok_or_else(no_postgres)?;
    let mut psql = postgres.program("psql");
    psql.args(["-XqtA", "-U", "postgres", "-d", database, "-c", sql]);
    Ok(psql
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

/// Killed: the store sees a connection that is gone.
fn end_held(bed: &Bed, held: Held) -> Result<()> {
    for mut child in held {
        child.kill()?;
        child.wait()?;
    }
    // A backend that sleeps does not look whether its client is there.
    if bed.postgres.is_some() {
        bed.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND pid <> pg_backend_pid()")?;
    }
    Ok(())
}

fn read_only(bed: &Bed) -> Result<Held> {
    set_read_only(bed, "on")
}

fn writable(bed: &Bed, _: Held) -> Result<()> {
    set_read_only(bed, "off").map(drop)
}

/// As a managed database does it when its disk runs full, or a standby that
/// took its place.
fn set_read_only(bed: &Bed, to: &str) -> Result<Held> {
    bed.sql(&format!(
        "ALTER ROLE stella SET default_transaction_read_only = {to}"
    ))?;
    bed.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stella'")?;
    Ok(Vec::new())
}

/// All that the database gives out; the servers' own are cut off.
fn take_connections(bed: &Bed) -> Result<Held> {
    let (postgres, database) = bed.postgres.as_ref().ok_or_else(no_postgres)?;
    bed.sql("CREATE ROLE other LOGIN")?;
    let mut held = Vec::new();
    for round in 0..3 {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stella'";
        bed.sql(cut)?;
        for _ in 0..if round == 0 { 60 } else { 10 } {
            let mut psql = postgres.program("psql");
            psql.args([
                "-XqtA",
                "-U",
                "other",
                "-d",
                database,
                "-c",
                "SELECT pg_sleep(3600)",
            ]);
            held.push(
                psql.stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?,
            );
        }
    }
    Ok(held)
}

/// All of its processes: it neither answers nor hangs up.
fn stop_database(bed: &Bed) -> Result<Held> {
    signal_database(bed, Signal::STOP)
}

fn go_on_database(bed: &Bed, _: Held) -> Result<()> {
    signal_database(bed, Signal::CONT).map(drop)
}

fn signal_database(bed: &Bed, signal: Signal) -> Result<Held> {
    let (postgres, _) = bed.postgres.as_ref().ok_or_else(no_postgres)?;
    postgres.signal(signal).map_err(Stuck)?;
    Ok(Vec::new())
}

fn pause(bed: &Bed) -> Result<Held> {
    signal_last(bed, Signal::STOP)
}

fn go_on(bed: &Bed, _: Held) -> Result<()> {
    signal_last(bed, Signal::CONT).map(drop)
}

fn signal_last(bed: &Bed, signal: Signal) -> Result<Held> {
    let server = bed.servers.last().ok_or_else(|| Stuck("no server".to_owned()))?;
    server.signal(signal)?;
    Ok(Vec::new())
}

fn an_hour_back(bed: &Bed) -> Result<Held> {
    std::fs::write(&bed.clock, "-3600\n")?;
    Ok(Vec::new())
}

fn right_time(bed: &Bed, _: Held) -> Result<()> {
    Ok(std::fs::write(&bed.clock, "+0\n")?)
}
