//! Files with secrets in them are read only where nobody else can have
//! written or read them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Why a file or folder with secrets is not used, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    #[error("{} is not a plain file, a secret is read from nothing else", .0.display())]
    NotAPlainFile(PathBuf),
    #[error("{path} belongs to user {owner}, this process runs as user {user}: run it as user {owner}, or chown {user} {path}", path = .path.display())]
    WrongOwner { path: PathBuf, owner: u32, user: u32 },
    #[error("others than its owner may use {path} (mode {mode:04o}): run chmod {wanted:o} {path}", path = .path.display())]
    TooOpen { path: PathBuf, mode: u32, wanted: u32 },
}

#[derive(Debug)]
pub(crate) enum OpenGuarded {
    Missing(PathBuf),
    Unsafe(Unsafe),
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// Opens for reading.
pub(crate) fn open(path: &Path) -> Result<File, OpenGuarded> {
    open_with(path, OpenOptions::new().read(true))
}

/// Checks the file that was opened, not the name: the name may change hands
/// in between.
pub(crate) fn open_with(path: &Path, options: &mut OpenOptions) -> Result<File, OpenGuarded> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(OpenGuarded::Missing(path.to_owned()));
        }
        Err(e) if e.kind() == io::ErrorKind::IsADirectory || is_link(&e) => {
            return Err(OpenGuarded::Unsafe(Unsafe::NotAPlainFile(path.to_owned())));
        }
        Err(source) => return Err(failed("open", path, source)),
    };
    let found = file.metadata().map_err(|source| failed("read", path, source))?;
    if !found.is_file() {
        return Err(OpenGuarded::Unsafe(Unsafe::NotAPlainFile(path.to_owned())));
    }
    owners_alone(path, found.uid(), found.mode(), 0o600).map_err(OpenGuarded::Unsafe)?;
    Ok(file)
}

pub(crate) fn owners_alone(path: &Path, owner: u32, mode: u32, wanted: u32) -> Result<(), Unsafe> {
    let path = path.to_owned();
    let user = rustix::process::geteuid().as_raw();
    let mode = mode & 0o7777;
    if owner != user {
        Err(Unsafe::WrongOwner { path, owner, user })
    } else if mode & 0o077 != 0 {
        Err(Unsafe::TooOpen { path, mode, wanted })
    } else {
        Ok(())
    }
}

fn is_link(e: &io::Error) -> bool {
    e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> OpenGuarded {
    OpenGuarded::Io {
        act,
        path: path.to_owned(),
        source,
    }
}
