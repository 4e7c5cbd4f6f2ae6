//! The embedded driver: one SQLite file, one writer thread, group commit.
//!
//! Every connection has a private, empty `:memory:` main database and the file
//! attached as `signer`, so that SQL written for PostgreSQL's schema of that
//! name runs unchanged. All tables are in the one attached file: a commit over
//! two files in WAL mode is not atomic.

mod attestation_rows;
mod attestations;
mod checkpoints;
mod error;
mod events;
mod file;
mod ledger;
mod log;
mod pins;
mod projections;
mod proofs;
mod queue;
mod readers;
mod replicas;
mod row;
pub(crate) mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod tokens;
mod upkeep;
mod verdicts;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use self::checkpoints::Checkpoints;
use self::readers::Readers;
use self::writer::Writer;
use crate::{Result, StoreError};

/// Several of these, in one process or in many, may be open on one file.
pub struct SqliteStore {
    path: PathBuf,
    options: OpenOptions,
    // Dropped before the writer, which as the last one folds the log into the file.
    readers: Readers,
    writer: Writer,
    led: upkeep::Led,
}

#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Whether a database that does not exist yet is made.
    pub create: bool,
    /// Connections that read at the same time.
    pub readers: usize,
    /// How long to wait for another process that writes.
    pub busy_timeout: Duration,
    /// Writes that may share one commit.
    pub max_batch: usize,
    /// Bounds the file's size, in pages of 4 KiB.
    pub max_pages: Option<u32>,
    /// Where this database is being moved to, by who opens it.
    pub leaving_for: Option<String>,
    /// Memory of the writer for the pages of the file. Digests enter indexes at
    /// random places: what does not fit is read again for each.
    pub writer_cache_kib: u32,
    /// Pages in the write-ahead log that are written back together. A page that
    /// changes often is then written back once for many times.
    pub checkpoint_pages: u32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: true,
            readers: 4,
            busy_timeout: Duration::from_secs(10),
            max_batch: 256,
            max_pages: None,
            leaving_for: None,
            writer_cache_kib: 16 << 10,
            checkpoint_pages: 8 << 10,
        }
    }
}

impl SqliteStore {
    /// Opens the database, bringing its schema up to date after keeping a copy.
    /// Blocks; nothing that cannot be read is ever replaced by an empty one.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|e| file::unavailable(path, &e))?;
        let mut conn = open_writer(&path, options).map_err(|e| error::at(&path, e))?;
        let checkpoints = Checkpoints::of(&mut conn, path.clone(), options.clone())?;
        Ok(Self {
            writer: Writer::start(conn, checkpoints, options.max_batch)?,
            readers: Readers::new(path.clone(), options.clone()),
            options: options.clone(),
            path,
            led: Default::default(),
        })
    }
}

fn open_writer(path: &Path, options: &OpenOptions) -> Result<Connection> {
    if !file::exists(path)? {
        if !options.create {
            return Err(StoreError::Missing("there is no database".into()));
        }
        create(path, options)?;
    }
    file::inspect(path)?;
    let conn = attach(path, options)?;
    schema::expect_ours(&conn)?;
    keep_in_wal(&conn)?;
    schema::bring_up_to_date(&conn, path, schema::MIGRATIONS)?;
    rows::expect_not_moved(&conn, options)?;
    let cache = i64::from(options.writer_cache_kib);
    conn.pragma_update(Some("signer"), "cache_size", -cache)?;
    Ok(conn)
}

/// Made whole under another name and then linked into place, so that nobody
/// ever meets a database without its tables.
fn create(path: &Path, options: &OpenOptions) -> Result<()> {
    let draft = file::Draft::beside(path)?;
    let conn = attach(draft.path(), options)?;
    keep_in_wal(&conn)?;
    schema::initialise(&conn, schema::MIGRATIONS)?;
    conn.close().map_err(|(_, e)| e)?;
    draft.publish(path)
}

/// A connection as every part of the driver uses it.
fn attach(path: &Path, options: &OpenOptions) -> Result<Connection> {
    // Not `open_in_memory`: its flag is inherited by what is attached, which
    // then is no file at all.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(":memory:", flags)?;
    conn.busy_timeout(options.busy_timeout)?;
    conn.set_prepared_statement_cache_capacity(128);
    // Plans do not depend on what is bound, or each `LIMIT ?` is planned anew
    // each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute("ATTACH ?1 AS signer", [file::uri(path)])?;
    for (pragma, value) in [
        ("foreign_keys", "ON"),
        ("recursive_triggers", "ON"),
        ("case_sensitive_like", "ON"),
        ("trusted_schema", "OFF"),
        ("temp_store", "MEMORY"),
    ] {
        conn.execute_batch(&format!("PRAGMA {pragma} = {value}"))?;
    }
    if conn.is_readonly("signer")? {
        return Err(StoreError::Unavailable("it cannot be written".into()));
    }
    conn.execute_batch("PRAGMA signer.synchronous = FULL")?;
    if let Some(pages) = options.max_pages {
        conn.query_row(&format!("PRAGMA signer.max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(conn)
}

/// Asserted, because whoever turned WAL off, or a file system that cannot have
/// it, would otherwise go unnoticed.
fn keep_in_wal(conn: &Connection) -> Result<()> {
    let journal: String = conn.query_row("PRAGMA signer.journal_mode = WAL", [], |row| row.get(0))?;
    if journal == "wal" {
        Ok(())
    } else {
        Err(StoreError::Unavailable(format!(
            "it cannot be kept in WAL mode, its journal mode is {journal}"
        )))
    }
}
