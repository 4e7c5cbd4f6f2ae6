//! The database as a file: who may read it, whether it is one of ours, and
//! how a new one comes into being.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{Result, StoreError};

pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(unavailable(path, &e)),
    }
}

/// Refuses what is no private file or too small, before SQLite touches it:
/// an empty file it would take for a new database.
///
/// Looks without opening: closing any descriptor of the file would drop the
/// locks that other connections of this process hold on it.
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
    if about.len() < SMALLEST {
        return Err(StoreError::Corrupt(format!(
            "{place} has only {} bytes; a database that was cut off is not made anew",
            about.len()
        )));
    }
    Ok(())
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
        // SQLite would take an orphaned log for this database's own. Asked in
        // this order, because another process may be creating it right now.
        for suffix in ["-wal", "-journal"] {
            let left = with_suffix(path, suffix);
            if exists(&left)? && !exists(path)? {
                return Err(StoreError::Corrupt(format!(
                    "{} is missing, but {} is there; restore the one or move the other away",
                    path.display(),
                    left.display()
                )));
            }
        }
        // One that was killed here may have left a draft, and in a container
        // it had the same process id.
        for n in 0..MAX_DRAFTS {
            let draft = with_suffix(path, &format!(".{}-{n}.new", std::process::id()));
            match create_private(&draft) {
                Ok(_) => return Ok(Self(draft)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(unavailable(&draft, &e)),
            }
        }
        Err(StoreError::Unavailable(format!(
            "too many unfinished drafts of {}; remove its *.new files",
            path.display()
        )))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it its name, unless another process was first.
    pub(super) fn publish(self, path: &Path) -> Result<()> {
        sync(&self.0)?;
        match fs::hard_link(&self.0, path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(e) => return Err(unavailable(path, &e)),
        }
        sync_folder_of(path)
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

/// A file's name is kept by its folder.
pub(super) fn sync_folder_of(path: &Path) -> Result<()> {
    sync(path.parent().unwrap_or(Path::new("/")))
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|f| f.sync_all())
        .map_err(|e| unavailable(path, &e))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn unavailable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// The smallest page (SQLite file format, section 1.3.2).
const SMALLEST: u64 = 512;

const MAX_DRAFTS: u32 = 1000;
