//! What of a home goes into its backup.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::BackupError;
use crate::config::Settings;
use crate::home::Home;

/// Something that goes into it, as it was when it was opened.
pub struct Member {
    pub name: String,
    pub content: Content,
}

pub enum Content {
    /// The copy of the database, which nobody else writes.
    File(File),
    /// Small, and written anew by others at any moment: read once.
    Bytes(Zeroizing<Vec<u8>>),
}

pub(super) const DATABASE: &str = "stella.db";
pub(super) const SEALING_KEY: &str = "sealing.key";
pub(super) const CONFIG: &str = "signer.yaml";
pub(super) const LOCAL_HSM: &str = "local-hsm";

/// A file beside the database that is longer is none of the product's.
const MAX_SMALL: u64 = 16 << 20;

impl Content {
    /// Its length, and its bytes from the beginning.
    pub(super) fn read(&mut self) -> io::Result<(u64, Box<dyn io::Read + '_>)> {
        Ok(match self {
            Self::File(file) => {
                file.rewind()?;
                (file.metadata()?.len(), Box::new(file))
            }
            Self::Bytes(bytes) => (bytes.len() as u64, Box::new(bytes.as_slice())),
        })
    }
}

/// All of it but what lies elsewhere by configuration, which the notes name.
/// The database comes first: what it refers to was there before it.
pub fn of_home(
    home: &Home,
    settings: &Settings,
    snapshot: &Path,
) -> Result<(Vec<Member>, Vec<String>), BackupError> {
    let mut members = vec![Member {
        name: DATABASE.to_owned(),
        content: Content::File(File::open(snapshot).map_err(at(snapshot))?),
    }];
    let mut notes = Vec::new();
    for (name, path) in [(SEALING_KEY, home.sealing_key()), (CONFIG, home.config())] {
        members.extend(small(name, &path)?);
    }
    for local in &settings.hsm.local {
        let inside = home.path().join(LOCAL_HSM).join(&local.name);
        let folder = local.folder.clone().unwrap_or(inside);
        members.extend(folder_of(&format!("{LOCAL_HSM}/{}", local.name), &folder)?);
        notes.push(format!(
            "the PIN of local HSM {} (pinFile {})",
            local.name,
            local.pin_file.display()
        ));
    }
    if !settings.hsm.modules.is_empty() {
        notes.push("keys on hardware tokens, which never leave them, and their PIN files".to_owned());
    }
    Ok((members, notes))
}

fn folder_of(name: &str, folder: &Path) -> Result<Vec<Member>, BackupError> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at(folder))?,
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(at(folder))?.path());
    }
    paths.sort();
    let mut members = Vec::new();
    for path in paths {
        let file = path.file_name().map(|file| file.to_string_lossy().into_owned());
        // A name with a dot in front is being written, and not there yet.
        if let Some(file) = file.filter(|file| !file.starts_with('.')) {
            members.extend(small(&format!("{name}/{file}"), &path)?);
        }
    }
    Ok(members)
}

fn small(name: &str, path: &Path) -> Result<Option<Member>, BackupError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(at(path))?,
    };
    let length = file.metadata().map_err(at(path))?.len();
    // Room for all of it at once: none of it is left behind by growing.
    let room = usize::try_from(length.min(MAX_SMALL)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_SMALL + 1)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() as u64 > MAX_SMALL {
        return Err(BackupError::Damaged(format!(
            "{} is no file of a home",
            path.display()
        )));
    }
    Ok(Some(Member {
        name: name.to_owned(),
        content: Content::Bytes(bytes),
    }))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    |source| BackupError::File {
        path: path.to_owned(),
        source,
    }
}
