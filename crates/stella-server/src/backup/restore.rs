//! A backup read again: to see that it is good, or into a new home.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::software::{SealedKey, Sealer, SealingKey, SoftwareKey};
use stella_store::sqlite::{OpenOptions, SqliteStore};
use stella_store::{EventStore as _, Upkeep as _};
use zeroize::Zeroizing;

use super::age::{Decryptor, Identity};
use super::archive::{self, Manifest, Place, damaged};
use super::members::{CONFIG, DATABASE, SEALING_KEY};
use super::{BackupError, Scratch};
use crate::entropy::Entropy;
use crate::home::Home;

/// What was found in it. `findings` is empty in a good one.
#[derive(Debug)]
pub struct Verified {
    pub manifest: Manifest,
    pub events: u64,
    pub attestations: u64,
    /// Private keys in it that its sealing key opens.
    pub keys: u64,
    pub findings: Vec<String>,
}

#[derive(Debug)]
pub struct Restored {
    pub verified: Verified,
    pub home: PathBuf,
    pub notes: Vec<String>,
}

/// Reads everything and compares. The database is laid down in a folder of
/// its own below `scratch` for that while; the sealing key never is.
pub async fn verify(
    from: impl Read,
    identities: &[Identity],
    scratch: &Path,
    entropy: &dyn Entropy,
) -> Result<Verified, BackupError> {
    let folder = Scratch::within(scratch, entropy)?;
    let mut place = Examined {
        database: folder.path().join(DATABASE),
        sealing_key: None,
    };
    let manifest = archive::read(Decryptor::new(from, identities)?, &mut place)?;
    examine(
        manifest,
        &place.database,
        place.sealing_key.as_ref().map(|key| &key[..]),
    )
    .await
}

/// Into a home that is not there yet: whole, or not at all.
pub async fn restore(
    from: impl Read,
    identities: &[Identity],
    home: &Path,
    entropy: &dyn Entropy,
) -> Result<Restored, BackupError> {
    let home = std::path::absolute(home)?;
    let taken = || BackupError::Exists(home.clone());
    if fs::symlink_metadata(&home).is_ok() && fs::read_dir(&home).map_err(|_| taken())?.next().is_some() {
        return Err(taken());
    }
    let parent = home.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(at(parent))?;
    let draft = Scratch::within(parent, entropy)?;
    let made = Home::create(draft.path())?;
    let mut place = Laid {
        home: made.clone(),
        sealing_key: None,
    };
    let manifest = archive::read(Decryptor::new(from, identities)?, &mut place)?;
    let verified = examine(
        manifest,
        &made.database(),
        place.sealing_key.as_ref().map(|key| &key[..]),
    )
    .await?;
    if !verified.findings.is_empty() {
        return Err(BackupError::Damaged(verified.findings.join("; ")));
    }
    let notes = set_aside(&made, &verified.manifest)?;
    made.finish()?;
    sync_all(draft.path())?;
    // Onto nothing, or onto an empty folder; anything else stays.
    match fs::rename(draft.path(), &home) {
        Ok(()) => {}
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            return Err(taken());
        }
        Err(source) => return Err(at(&home)(source)),
    }
    drop(draft.keep());
    File::open(parent)
        .and_then(|f| f.sync_all())
        .map_err(at(parent))?;
    Home::open(&home)?;
    Ok(Restored {
        verified,
        home,
        notes,
    })
}

/// A configuration that leads to another database must not do so unasked.
fn set_aside(home: &Home, manifest: &Manifest) -> Result<Vec<String>, BackupError> {
    let Some(elsewhere) = &manifest.database else {
        return Ok(Vec::new());
    };
    let config = home.config();
    if config.exists() {
        let aside = config.with_extension("yaml.restored");
        fs::rename(&config, &aside).map_err(at(&config))?;
    }
    Ok(vec![format!(
        "its database was at {elsewhere} and is now in the home: {CONFIG}, if there was one, is kept as {CONFIG}.restored; take store.url out of it, and see that no other configuration leads there"
    )])
}

async fn examine(
    manifest: Manifest,
    database: &Path,
    sealing_key: Option<&[u8]>,
) -> Result<Verified, BackupError> {
    if !database.exists() {
        return Err(BackupError::Damaged(format!("{DATABASE} is not in it")));
    }
    let options = OpenOptions {
        create: false,
        ..OpenOptions::default()
    };
    let store = SqliteStore::open(database, &options)?;
    let report = store.verify().await?;
    let mut findings = report.findings;
    let events = store.events_after(0, usize::MAX).await?;
    let trust = TrustState::fold(&events).map_err(|e| BackupError::Damaged(e.to_string()))?;
    let sealer = match sealing_key {
        None => None,
        Some(text) => {
            let key = SealingKey::parse(text)
                .ok_or_else(|| BackupError::Damaged(format!("{SEALING_KEY} holds no sealing key")))?;
            Some(Sealer::new(&key).map_err(|e| BackupError::Damaged(e.to_string()))?)
        }
    };
    let mut keys = 0;
    for key in trust.keys.values() {
        let Some(blob) = store.sealed_key(&key.id).await? else {
            continue;
        };
        match &sealer {
            None => findings.push(format!("{} is sealed, and {SEALING_KEY} is not in it", key.id)),
            Some(sealer) => match opens(key, &blob, sealer) {
                Ok(()) => keys += 1,
                Err(why) => findings.push(format!("the key {} cannot be opened: {why}", key.id)),
            },
        }
    }
    Ok(Verified {
        manifest,
        events: report.events,
        attestations: report.attestations,
        keys,
        findings,
    })
}

fn opens(key: &KeyRecord, blob: &[u8], sealer: &Sealer) -> Result<(), String> {
    use stella_keys::Sign as _;
    let sealed = SealedKey::from_bytes(blob).map_err(|e| e.to_string())?;
    let opened = SoftwareKey::open(&sealed, sealer, &key.id, key.public_key.algorithm());
    let opened = opened.map_err(|e| e.to_string())?;
    (*opened.public_key() == key.public_key)
        .then_some(())
        .ok_or_else(|| "it is another key".to_owned())
}

struct Examined {
    database: PathBuf,
    sealing_key: Option<Zeroizing<Vec<u8>>>,
}

impl Place for Examined {
    fn put(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), BackupError> {
        match name {
            DATABASE => lay(&self.database, content),
            SEALING_KEY => {
                self.sealing_key = Some(archive::secret(size, content)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

struct Laid {
    home: Home,
    sealing_key: Option<Zeroizing<Vec<u8>>>,
}

impl Place for Laid {
    fn put(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), BackupError> {
        let path = match name {
            DATABASE => self.home.database(),
            SEALING_KEY => {
                let key = archive::secret(size, content)?;
                lay(&self.home.sealing_key(), &mut &key[..])?;
                self.sealing_key = Some(key);
                return Ok(());
            }
            CONFIG => self.home.config(),
            inside => {
                // Its shape was seen to be local-hsm/NAME/FILE.
                let path = self.home.path().join(inside);
                let folder = path.parent().unwrap_or(self.home.path());
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)
                    .map_err(at(folder))?;
                path
            }
        };
        lay(&path, content)
    }
}

/// A new file, its owner's alone.
fn lay(path: &Path, content: &mut dyn Read) -> Result<(), BackupError> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
    loop {
        let read = content.read(&mut buffer).map_err(damaged)?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, &buffer[..read]).map_err(at(path))?;
    }
    file.sync_all().map_err(at(path))
}

/// The folders as well; the files were synced as they were laid.
fn sync_all(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.file_type().map_err(at(folder))?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            let path = entry.path();
            File::open(&path).and_then(|f| f.sync_all()).map_err(at(&path))?;
        }
    }
    File::open(folder).and_then(|f| f.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |source| BackupError::File {
        path: path.to_owned(),
        source,
    }
}
