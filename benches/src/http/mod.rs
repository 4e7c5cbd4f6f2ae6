//! A real server with callers over TCP, beside the same HTTP stack that signs
//! and stores nothing, and beside the disk alone.

mod bare;
mod client;
mod growth;
mod load;
mod server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stella_testkit::postgres::Postgres;

use crate::figures::{figure, median, ratio};

pub use bare::serve as bare_server;
pub use growth::{Growth, run as growth};
use load::{Load, Target};
use server::Server;

pub struct Effort {
    pub rounds: usize,
    pub turn: Duration,
    pub statement_bytes: usize,
    pub exe: PathBuf,
    /// Only this one.
    pub store: Option<String>,
    /// So many at once, one figure each.
    pub callers: Vec<usize>,
    pub algorithms: Vec<String>,
}

const MOST: usize = 64;
/// The profiles of the server, by the algorithm's short name.
pub const ALGORITHMS: [&str; 2] = ["ecdsa-p256", "ed25519"];

pub fn run(effort: &Effort) -> Result<(), String> {
    let folder = tempfile::tempdir_in(".").map_err(text)?;
    figure("http.fsync", fsyncs(folder.path(), effort.turn)?, "1/s");
    let stores = ["sqlite", "postgres"];
    let wanted = |store: &str| effort.store.as_deref().is_none_or(|only| only == store);
    for store in stores.iter().filter(|store| wanted(store)) {
        let home = folder.path().join(store);
        std::fs::create_dir(&home).map_err(text)?;
        match *store {
            "sqlite" => beside_bare(
                effort,
                store,
                Server::start(&effort.exe, &home, &ALGORITHMS, None)?,
            )?,
            _ => {
                // Its own folder is where temporary files are: name one on the
                // same disk to compare the two.
                let database = Postgres::start();
                figure("http.postgres.inserts", inserts(&database, effort)?, "1/s");
                let url = set_up(&effort.exe, &home, &database)?;
                beside_bare(
                    effort,
                    store,
                    Server::start(&effort.exe, &home, &ALGORITHMS, Some(&url))?,
                )?;
            }
        }
    }
    Ok(())
}

/// A new database that servers may use; its URL.
fn set_up(exe: &Path, home: &Path, postgres: &Postgres) -> Result<String, String> {
    let database = postgres.database();
    postgres.psql(&database, "postgres", "CREATE ROLE stella LOGIN")?;
    let owner = postgres.url(&database);
    server::said(
        exe,
        home,
        &["db", "migrate", "--store", &owner, "--service", "stella"],
    )?;
    Ok(postgres.url_as("stella", &database))
}

/// Rows of the size of an attestation a second, in multi-row statements of as
/// many as there are callers at most, each durable before the next.
fn inserts(postgres: &Postgres, effort: &Effort) -> Result<f64, String> {
    let database = postgres.database();
    let row = format!("(gen_random_uuid(), repeat('x', {}))", 3 * effort.statement_bytes);
    let sql = |sql: &str| postgres.psql(&database, "postgres", sql);
    sql("CREATE TABLE rows (id UUID PRIMARY KEY, body TEXT)")?;
    let insert = format!("INSERT INTO rows VALUES {};", vec![row; MOST].join(","));
    let batches = 50;
    let file = tempfile::NamedTempFile::new().map_err(text)?;
    std::fs::write(file.path(), insert.repeat(batches)).map_err(text)?;
    let begun = Instant::now();
    let mut psql = postgres.program("psql");
    psql.args(["-XqtA", "-U", "postgres", "-d", &database, "-f"])
        .arg(file.path());
    let status = psql.status().map_err(text)?;
    if !status.success() {
        return Err(format!("psql ended with {status}"));
    }
    Ok((batches * MOST) as f64 / begun.elapsed().as_secs_f64())
}

fn beside_bare(effort: &Effort, store: &str, server: Server) -> Result<(), String> {
    let mut load = Load::new(effort.statement_bytes)?;
    for algorithm in &effort.algorithms {
        let bare = bare::Bare::start(algorithm)?;
        let mut top = 0.0;
        for &connections in &effort.callers {
            let (mut ours, mut limit, mut waited) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..effort.rounds {
                limit.push(load.run(&bare.target(), connections, effort.turn)?.rate);
                let turn = load.run(&server.target(algorithm), connections, effort.turn)?;
                ours.push(turn.rate);
                waited.extend(turn.waited);
            }
            let (ours, limit) = (median(ours), median(limit));
            let name = format!("http.{store}.{algorithm}.{connections}");
            figure(&format!("{name}.bare"), limit, "1/s");
            figure(&format!("{name}.rate"), ours, "1/s");
            percentiles(&name, waited);
            ratio(&format!("{name}.of-bare"), ours / limit);
            top = ours;
        }
        let half = load.paced(&server.target(algorithm), MOST, top / 2.0, effort.turn * 4)?;
        let name = format!("http.{store}.{algorithm}.at-half");
        figure(&format!("{name}.rate"), half.rate, "1/s");
        percentiles(&name, half.waited);
    }
    server.stop()
}

fn percentiles(name: &str, mut waited: Vec<Duration>) {
    waited.sort_unstable();
    for (percent, of) in [("p50", 50), ("p99", 99)] {
        let at = waited.len().saturating_sub(1) * of / 100;
        if let Some(waited) = waited.get(at) {
            figure(&format!("{name}.{percent}"), waited.as_secs_f64() * 1e3, "ms");
        }
    }
}

/// What one durable write after another costs where the store is.
fn fsyncs(folder: &Path, turn: Duration) -> Result<f64, String> {
    let mut file = std::fs::File::create(folder.join("fsync")).map_err(text)?;
    let begun = Instant::now();
    let mut done = 0_u32;
    while begun.elapsed() < turn {
        file.write_all(&[7; 4096]).map_err(text)?;
        file.sync_data().map_err(text)?;
        done += 1;
    }
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

fn target(port: u16, profile: &str, token: Option<String>) -> Target {
    Target {
        port,
        profile: profile.to_owned(),
        token,
    }
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}
