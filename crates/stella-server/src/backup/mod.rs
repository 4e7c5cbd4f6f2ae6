//! Backups of a home: an archive of what it holds, encrypted to whoever may
//! open it.

pub mod age;
mod archive;
mod members;
mod restore;

use std::path::{Path, PathBuf};

pub use archive::{Manifest, write};
pub use members::{Member, of_home};
pub use restore::{Restored, Verified, restore, verify};

use crate::entropy::{Entropy, NoEntropy};
use crate::home::Home;
use age::AgeError;

pub const FORMAT: &str = "stella-backup/1";

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0}")]
    Age(#[from] AgeError),
    #[error("it is no backup of this product: {0}")]
    Foreign(String),
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is there already, and a backup is restored into no home that exists", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Home(#[from] crate::home::HomeError),
    #[error("the database in it cannot be opened: {0}")]
    Store(#[from] stella_store::StoreError),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl BackupError {
    /// Stable: scripts rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Age(AgeError::NotForUs) => "backup.other-recipients",
            Self::Age(AgeError::Identity | AgeError::OtherIdentity) => "backup.identity",
            Self::Age(AgeError::Recipient(_)) => "backup.recipient",
            Self::Age(AgeError::NotAge) | Self::Foreign(_) => "backup.foreign",
            Self::Age(AgeError::Header | AgeError::Content) | Self::Damaged(_) => "backup.damaged",
            Self::Exists(_) => "home.exists",
            Self::Home(_) => "backup.home",
            Self::Store(_) => "backup.store",
            Self::Age(AgeError::Io(_)) | Self::File { .. } | Self::Entropy(_) | Self::Io(_) => "backup.io",
        }
    }
}

/// A folder of our own for a while; it goes when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

/// As folders of this kind begin.
const SCRATCH: &str = ".stella-backup-";

impl Scratch {
    pub fn within(folder: &Path, entropy: &dyn Entropy) -> Result<Self, BackupError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut name = [0; 8];
        entropy.fill(&mut name)?;
        let path = folder.join(format!("{SCRATCH}{:016x}", u64::from_be_bytes(name)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|source| BackupError::File {
                path: path.clone(),
                source,
            })?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// It stays, under another name.
    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Removes what processes left behind that were killed over a backup.
pub fn sweep(home: &Home) {
    let Ok(entries) = std::fs::read_dir(home.path()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
