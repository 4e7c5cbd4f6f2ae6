//! The home: one folder that holds everything an embedded instance keeps.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("there is no home at {}", .0.display())]
    Missing(PathBuf),
    #[error("{} is not a Stella home: it holds other files", .0.display())]
    Foreign(PathBuf),
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("{} belongs to another user (uid {owner})", .path.display())]
    Owner { path: PathBuf, owner: u32 },
    #[error("{} can be entered by others (mode {mode:o}); run: chmod 700 {}", .path.display(), .path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("the home {} was begun and never finished; nothing was kept in it", .0.display())]
    Unfinished(PathBuf),
    #[error("{} cannot be written: {source}", .path.display())]
    ReadOnly { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// Held while a process uses the home; the lock goes with the process.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// Whose the lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// Many embedded commands at once.
    Shared,
    /// The one server.
    Exclusive,
}

impl Home {
    /// An existing home, safe to use by this user.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let io = |source| HomeError::Io {
            path: path.to_owned(),
            source,
        };
        let meta = match fs::metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(HomeError::Missing(path.to_owned()));
            }
            other => other.map_err(io)?,
        };
        let home = Self {
            path: path.to_owned(),
        };
        // Asked first: into another user's home nobody sees.
        let me = rustix::process::geteuid().as_raw();
        if meta.uid() != me && me != 0 {
            return Err(HomeError::Owner {
                path: path.to_owned(),
                owner: meta.uid(),
            });
        }
        if !meta.is_dir() || !home.marker().exists() {
            return Err(HomeError::Foreign(path.to_owned()));
        }
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(HomeError::Mode {
                path: path.to_owned(),
                mode: meta.permissions().mode() & 0o7777,
            });
        }
        Ok(home)
    }

    /// Makes a home in a folder that is not there yet, or is empty.
    pub fn create(path: &Path) -> Result<Self, HomeError> {
        let io = |source| HomeError::Io {
            path: path.to_owned(),
            source,
        };
        let home = Self {
            path: path.to_owned(),
        };
        if home.marker().exists() {
            return Err(HomeError::Exists(path.to_owned()));
        }
        make_folders(path).map_err(io)?;
        if fs::read_dir(path).map_err(io)?.next().is_some() {
            return Err(HomeError::Foreign(path.to_owned()));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
        let marker = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(home.marker())
            .map_err(io)?;
        marker.sync_all().map_err(io)?;
        sync_folder(path).map_err(io)?;
        Ok(home)
    }

    /// `init` came to its end: from now on what is missing was lost.
    pub fn finish(&self) -> Result<(), HomeError> {
        let io = |source| HomeError::Io {
            path: self.marker(),
            source,
        };
        let mut marker = OpenOptions::new().write(true).open(self.marker()).map_err(io)?;
        marker
            .write_all(FINISHED)
            .and_then(|()| marker.sync_all())
            .map_err(io)
    }

    /// An `init` was cut off here, and nobody was told of anything in it.
    pub fn is_unfinished(&self) -> bool {
        let begun = fs::metadata(self.marker()).is_ok_and(|m| m.len() == 0);
        begun && !self.database().exists()
    }

    /// Fails at once when another process holds what does not go with it.
    pub fn lock(&self, how: Locking) -> Result<HomeLock, HomeError> {
        let io = |source: std::io::Error| match source.kind() {
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => HomeError::ReadOnly {
                path: self.path.clone(),
                source,
            },
            _ => HomeError::Io {
                path: self.marker(),
                source,
            },
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.marker())
            .map_err(io)?;
        let taken = match how {
            Locking::Shared => file.try_lock_shared(),
            Locking::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("stella.db")
    }

    pub fn socket(&self) -> PathBuf {
        self.path.join("stella.sock")
    }

    pub fn sealing_key(&self) -> PathBuf {
        self.path.join("sealing.key")
    }

    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    fn marker(&self) -> PathBuf {
        self.path.join(MARKER)
    }
}

pub const MARKER: &str = "home.lock";
pub const CONFIG: &str = "signer.yaml";

/// The version of the home's layout.
const FINISHED: &[u8] = b"stella-home-v1\n";

/// Each is in its parent for good before anything is put into it.
fn make_folders(path: &Path) -> std::io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            _ => folder.parent().map_or(Ok(()), sync_folder)?,
        }
    }
    Ok(())
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
