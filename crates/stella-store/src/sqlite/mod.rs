//! The embedded driver: SQLite in WAL mode, `synchronous=FULL`.
//!
//! Every connection has a private `:memory:` main database and the file
//! attached as `signer`, so that the documented `signer.` table names are the
//! real ones. One thread writes and joins what concurrent callers ask for into
//! one durable commit; reads go to connections of their own.

mod attestations;
mod events;
mod log;
mod rows;
mod schema;
mod tokens;
mod upkeep;
mod writer;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;

use crate::{Result, StoreError};
use writer::{Chain, Writer};

/// How many idle read connections are kept.
const IDLE_READERS: usize = 4;

#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Make the database where there is none. Without it a missing file is an
    /// error, so that a lost database is never taken for a new one.
    pub create: bool,
    /// How long a write waits for another process's lock.
    pub busy_timeout: Duration,
    /// How many writes share one commit at most.
    pub max_batch: usize,
    /// A ceiling on the file, in pages; for tests of a full disk.
    pub max_pages: Option<u32>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            busy_timeout: Duration::from_secs(10),
            max_batch: 256,
            max_pages: None,
        }
    }
}

pub struct SqliteStore {
    path: PathBuf,
    options: OpenOptions,
    writer: Writer,
    readers: Arc<Mutex<Vec<Connection>>>,
}

impl SqliteStore {
    /// Blocks for as long as a migration takes.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        check_file(path, options)?;
        let connection = connect(path, options)?;
        schema::prepare(&connection, path)?;
        let writer = Writer::start(connection, options.max_batch);
        Ok(Self {
            path: path.to_owned(),
            options: options.clone(),
            writer,
            readers: Arc::default(),
        })
    }

    /// One named transaction, joined with those of concurrent callers.
    async fn write<T, F>(&self, name: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Chain) -> Result<T> + Send + 'static,
    {
        self.writer.run(name, work).await
    }

    /// One consistent snapshot.
    async fn read<T, F>(&self, name: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (path, options, idle) = (self.path.clone(), self.options.clone(), Arc::clone(&self.readers));
        let task = tokio::task::spawn_blocking(move || {
            let pooled = idle.lock().ok().and_then(|mut idle| idle.pop());
            let connection = match pooled {
                Some(connection) => connection,
                None => connect(&path, &options)?,
            };
            connection.execute_batch("BEGIN").map_err(failed)?;
            let answer = work(&connection);
            let ended = connection.execute_batch("ROLLBACK");
            // A connection that failed in any way is not used again.
            if answer.is_ok()
                && ended.is_ok()
                && let Ok(mut idle) = idle.lock()
                && idle.len() < IDLE_READERS
            {
                idle.push(connection);
            }
            answer
        });
        task.await
            .map_err(|e| StoreError::Unavailable(format!("reading ({name}) did not finish: {e}")))?
    }
}

/// The error of a statement that ran before any commit.
fn failed(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as C;
    match error.sqlite_error_code() {
        Some(C::DatabaseCorrupt | C::NotADatabase) => StoreError::Corrupt(error.to_string()),
        Some(C::DiskFull) => StoreError::Unavailable("the disk is full; nothing was written".to_owned()),
        Some(C::DatabaseBusy | C::DatabaseLocked) => {
            StoreError::Unavailable("another process holds the database; nothing was written".to_owned())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

fn connect(path: &Path, options: &OpenOptions) -> Result<Connection> {
    let connection = Connection::open_in_memory().map_err(failed)?;
    connection.busy_timeout(options.busy_timeout).map_err(failed)?;
    let place = path
        .to_str()
        .ok_or_else(|| StoreError::Unavailable("the database's path is not UTF-8".to_owned()))?;
    connection
        .execute("ATTACH DATABASE ?1 AS signer", [place])
        .map_err(failed)?;
    let mode: String = connection
        .query_row("PRAGMA signer.journal_mode=WAL", [], |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!(
            "{} cannot be used in WAL mode (it says {mode:?})",
            path.display()
        )));
    }
    connection
        .execute_batch(
            "PRAGMA signer.synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA case_sensitive_like=ON; PRAGMA trusted_schema=OFF;",
        )
        .map_err(failed)?;
    if let Some(pages) = options.max_pages {
        connection
            .execute_batch(&format!("PRAGMA signer.max_page_count={pages}"))
            .map_err(failed)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A regular file of this user that nobody else can read; made if allowed.
fn check_file(path: &Path, options: &OpenOptions) -> Result<()> {
    let shown = path.display();
    let unavailable = |e: std::io::Error| StoreError::Unavailable(format!("{shown}: {e}"));
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == ErrorKind::NotFound && options.create => {
            let file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(unavailable)?;
            file.sync_all().map_err(unavailable)?;
            let folder = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            return fs::File::open(folder)
                .and_then(|d| d.sync_all())
                .map_err(unavailable);
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(StoreError::Unavailable(format!(
                "there is no database at {shown}; restore it from your backup"
            )));
        }
        Err(e) => return Err(unavailable(e)),
    };
    if meta.file_type().is_symlink() || !meta.is_file() {
        return Err(StoreError::Unavailable(format!("{shown} is not a regular file")));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(StoreError::Unavailable(format!(
            "{shown} is readable by others; run: chmod 600 {shown}"
        )));
    }
    if meta.len() == 0 && !options.create && meta.uid() != u32::MAX {
        return Err(StoreError::Corrupt(format!(
            "{shown} is empty; restore it from your backup"
        )));
    }
    Ok(())
}
