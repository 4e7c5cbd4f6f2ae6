//! The database as a file: who may read it, whether it is one of ours, and
//! how a new one comes into being.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::schema::APPLICATION_ID;
use crate::{Result, StoreError};

pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(unavailable(path, &e)),
    }
}

/// Refuses what is not a private Stella database, before SQLite touches it.
pub(super) fn inspect(path: &Path) -> Result<()> {
    let place = path.display();
    let about = fs::symlink_metadata(path).map_err(|e| unavailable(path, &e))?;
    if about.file_type().is_symlink() {
        return Err(StoreError::Unavailable(format!(
            "{place} is a symbolic link; name the database file itself"
        )));
    }
    if !about.is_file() {
        return Err(StoreError::Unavailable(format!("{place} is not a file")));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Unavailable(format!(
            "{place} is open to others (mode {mode:04o}); run: chmod 600 {place}"
        )));
    }
    let mut header = Vec::with_capacity(HEADER);
    let file = File::open(path).map_err(|e| unavailable(path, &e))?;
    file.take(HEADER as u64)
        .read_to_end(&mut header)
        .map_err(|e| unavailable(path, &e))?;
    if header.is_empty() {
        return Err(StoreError::Corrupt(format!(
            "{place} is empty; a database that was cut off is not made anew"
        )));
    }
    if !header.starts_with(MAGIC) {
        return Err(StoreError::Schema(format!("{place} is not a SQLite database")));
    }
    match header.get(APPLICATION_ID_AT..APPLICATION_ID_AT + 4) {
        Some(id) if id == APPLICATION_ID.to_be_bytes() => Ok(()),
        Some(_) if header.len() == HEADER => Err(StoreError::Schema(format!(
            "{place} is another program's SQLite database"
        ))),
        _ => Err(StoreError::Corrupt(format!("{place} is cut off in its header"))),
    }
}

/// With `mode=rw` SQLite opens what exists and creates nothing.
pub(super) fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02x}"));
        }
    }
    uri + "?mode=rw"
}

/// A private empty file that did not exist before.
pub(super) fn create_private(path: &Path) -> std::io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A database in the making; removed again unless it is published.
pub(super) struct Draft(PathBuf);

impl Draft {
    pub(super) fn beside(path: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // SQLite would take an orphaned log for this database's own.
        for suffix in ["-wal", "-journal"] {
            let left = with_suffix(path, suffix);
            if exists(&left)? {
                return Err(StoreError::Corrupt(format!(
                    "{} is missing, but {} is there; restore the one or move the other away",
                    path.display(),
                    left.display()
                )));
            }
        }
        let unique = format!(
            ".{}-{}.new",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let draft = with_suffix(path, &unique);
        create_private(&draft).map_err(|e| unavailable(&draft, &e))?;
        Ok(Self(draft))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it its name, unless another process was first.
    pub(super) fn publish(self, path: &Path) -> Result<()> {
        let sync = |p: &Path| File::open(p).and_then(|f| f.sync_all());
        sync(&self.0).map_err(|e| unavailable(&self.0, &e))?;
        match fs::hard_link(&self.0, path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(e) => return Err(unavailable(path, &e)),
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        sync(folder).map_err(|e| unavailable(folder, &e))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            // What cannot be removed does no harm under its own name.
            let _ = fs::remove_file(with_suffix(&self.0, suffix));
        }
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// The database header (SQLite file format, section 1.3).
const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
const APPLICATION_ID_AT: usize = 68;
