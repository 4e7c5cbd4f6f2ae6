//! The sealing key, under which every software key of a home is sealed, and
//! the file in which it lies when no passphrase stands in for it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use stella_core::digest::Sha256;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError};
use crate::guarded::{self, OpenGuarded, Unsafe};

/// The file in the home.
pub const FILE_NAME: &str = "sealing.key";

/// 32 bytes, cleansed when dropped.
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// The cost of Argon2id. The default is the second recommendation of
/// RFC 9106 section 4. They must be kept beside the salt: with others the
/// same passphrase is another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseParams {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Default for PassphraseParams {
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// Whether that is the beginning or a loss only the caller can know: it
    /// knows whether sealed keys exist.
    #[error("there is no sealing key at {}", .0.display())]
    Missing(PathBuf),
    #[error("there is a sealing key at {} already, it is not replaced", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Unsafe(Unsafe),
    #[error("{} does not hold a sealing key: restore it from a copy", .0.display())]
    Malformed(PathBuf),
    #[error("cannot {act} {}", .path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("the passphrase cannot be turned into a sealing key: {0}")]
    Passphrase(String),
}

impl SealingKeyError {
    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "sealing-key.missing",
            Self::Exists(_) => "sealing-key.exists",
            Self::Unsafe(Unsafe::NotAPlainFile(_)) => "sealing-key.not-a-plain-file",
            Self::Unsafe(Unsafe::WrongOwner { .. }) => "sealing-key.wrong-owner",
            Self::Unsafe(Unsafe::TooOpen { .. }) => "sealing-key.too-open",
            Self::Malformed(_) => "sealing-key.malformed",
            Self::Io { .. } => "sealing-key.io",
            Self::Entropy(_) => "sealing-key.entropy",
            Self::Passphrase(_) => "sealing-key.passphrase",
        }
    }
}

impl From<OpenGuarded> for SealingKeyError {
    fn from(e: OpenGuarded) -> Self {
        match e {
            OpenGuarded::Missing(path) => Self::Missing(path),
            OpenGuarded::Unsafe(e) => Self::Unsafe(e),
            OpenGuarded::Io { act, path, source } => Self::Io { act, path, source },
        }
    }
}

impl SealingKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Argon2id, version 1.3 (RFC 9106).
    pub fn from_passphrase(
        passphrase: &[u8],
        salt: &[u8; 16],
        params: PassphraseParams,
    ) -> Result<Self, SealingKeyError> {
        let refuse = |e: argon2::Error| SealingKeyError::Passphrase(e.to_string());
        if passphrase.is_empty() {
            return Err(SealingKeyError::Passphrase("it is empty".to_owned()));
        }
        let params = Params::new(params.memory_kib, params.passes, params.lanes, Some(32)).map_err(refuse)?;
        let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, salt, &mut *key, memory.as_mut_slice())
            .map_err(refuse)?;
        Ok(Self(key))
    }

    /// Reads the file in this folder. It never makes one.
    pub fn read(home: &Path) -> Result<Self, SealingKeyError> {
        Self::read_file(&home.join(FILE_NAME))
    }

    /// Reads a copy, wherever it lies.
    pub fn read_file(path: &Path) -> Result<Self, SealingKeyError> {
        let path = path.to_owned();
        let mut file = guarded::open(&path)?;
        // One byte more than the longest file there is, so that a longer one
        // shows.
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_LEN + 1));
        Read::by_ref(&mut file)
            .take(FILE_LEN as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|source| failed("read", &path, source))?;
        parse(&text).ok_or(SealingKeyError::Malformed(path))
    }

    /// What such a file holds.
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse(text)
    }

    /// Makes a key and its file, for the owner alone, in this folder.
    ///
    /// The file appears whole or not at all and replaces none; when this
    /// returns, it outlives a loss of power. Only whoever knows that no key
    /// has yet been sealed in this home may call it.
    pub fn create(home: &Path, entropy: &mut dyn Entropy) -> Result<Self, SealingKeyError> {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key)?;
        let key = Self(key);
        key.keep(home, entropy)?;
        Ok(key)
    }

    /// Makes the file of this key, as [`SealingKey::create`] does.
    pub fn keep(&self, home: &Path, entropy: &mut dyn Entropy) -> Result<(), SealingKeyError> {
        let mut suffix = [0; 8];
        entropy.fill(&mut suffix)?;

        let path = home.join(FILE_NAME);
        let part = home.join(format!(".{FILE_NAME}.{:016x}", u64::from_be_bytes(suffix)));
        let written = write_new(&part, &self.0).and_then(|()| publish(&part, &path));
        let removed = fs::remove_file(&part);
        written?;
        removed.map_err(|source| failed("remove", &part, source))?;
        File::open(home)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| failed("sync", home, source))
    }

    /// A name for the key that tells nothing of use about it.
    pub fn id(&self) -> String {
        let digest = Sha256::of_parts(&[b"stella sealing key id\0", self.as_bytes()]);
        digest.to_hex().chars().take(16).collect()
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id())
    }
}

/// One line: what it is, the version, and the key in base64.
const PREFIX: &str = "stella-sealing-key-v1:";
const FILE_LEN: usize = PREFIX.len() + 44 + 1;

fn parse(text: &[u8]) -> Option<SealingKey> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let encoded = text.strip_prefix(PREFIX.as_bytes())?;
    let mut key = Zeroizing::new([0; 32]);
    // The decoder asks for room for whole groups of four characters.
    let mut decoded = Zeroizing::new([0; 33]);
    let len = BASE64.decode_slice(encoded, &mut *decoded).ok()?;
    if len != key.len() {
        return None;
    }
    key.copy_from_slice(decoded.get(..len)?);
    Some(SealingKey(key))
}

fn write_new(part: &Path, key: &[u8; 32]) -> Result<(), SealingKeyError> {
    let mut text = Zeroizing::new(String::with_capacity(FILE_LEN));
    text.push_str(PREFIX);
    BASE64.encode_string(key, &mut text);
    text.push('\n');
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|source| failed("write", part, source))
}

/// A hard link, because a rename would replace a file that came in between.
fn publish(part: &Path, path: &Path) -> Result<(), SealingKeyError> {
    fs::hard_link(part, path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SealingKeyError::Exists(path.to_owned()),
        _ => failed("write", path, source),
    })
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> SealingKeyError {
    SealingKeyError::Io {
        act,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_created_key_is_read_back_and_is_for_its_owner_alone() {
        let home = home();
        let created = SealingKey::create(home.path(), &mut SystemEntropy).expect("created");
        let read = SealingKey::read(home.path()).expect("read");
        assert_eq!(created.as_bytes(), read.as_bytes());
        let found = fs::metadata(home.path().join(FILE_NAME)).expect("metadata");
        assert_eq!(found.mode() & 0o7777, 0o600);
        assert_eq!(found.len(), FILE_LEN as u64);
        let names: Vec<_> = fs::read_dir(home.path()).expect("folder").flatten().collect();
        assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
    }

    #[test]
    fn a_key_that_is_there_is_never_replaced() {
        let home = home();
        let first = SealingKey::create(home.path(), &mut SystemEntropy).expect("created");
        let error = SealingKey::create(home.path(), &mut SystemEntropy).expect_err("exists");
        assert_eq!(error.code(), "sealing-key.exists");
        let read = SealingKey::read(home.path()).expect("read");
        assert_eq!(first.as_bytes(), read.as_bytes());
        assert_eq!(fs::read_dir(home.path()).expect("folder").count(), 1);
    }

    #[test]
    fn reading_never_makes_one() {
        let home = home();
        let error = SealingKey::read(home.path()).expect_err("missing");
        assert_eq!(error.code(), "sealing-key.missing");
        assert_eq!(fs::read_dir(home.path()).expect("folder").count(), 0);
    }

    #[test]
    fn a_file_that_others_may_use_is_refused_with_the_command_that_mends_it() {
        for mode in [0o640, 0o604, 0o620, 0o666, 0o601] {
            let home = home();
            SealingKey::create(home.path(), &mut SystemEntropy).expect("created");
            let path = home.path().join(FILE_NAME);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            let error = SealingKey::read(home.path()).expect_err("too open");
            assert_eq!(error.code(), "sealing-key.too-open");
            let mends = format!("run chmod 600 {}", path.display());
            assert!(error.to_string().ends_with(&mends), "{error}");
        }
    }

    #[test]
    fn a_link_a_folder_and_a_pipe_are_no_key_file() {
        let elsewhere = home();
        SealingKey::create(elsewhere.path(), &mut SystemEntropy).expect("created");

        let linked = home();
        symlink(elsewhere.path().join(FILE_NAME), linked.path().join(FILE_NAME)).expect("link");
        let error = SealingKey::read(linked.path()).expect_err("link");
        assert_eq!(error.code(), "sealing-key.not-a-plain-file");
        let error = SealingKey::create(linked.path(), &mut SystemEntropy).expect_err("link");
        assert_eq!(error.code(), "sealing-key.exists");

        let folder = home();
        fs::create_dir(folder.path().join(FILE_NAME)).expect("folder");
        let error = SealingKey::read(folder.path()).expect_err("folder");
        assert_eq!(error.code(), "sealing-key.not-a-plain-file");

        // Opening a pipe must not wait for whoever writes into it.
        let piped = home();
        let pipe = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(piped.path().join(FILE_NAME))
            .status();
        assert!(pipe.expect("mkfifo").success());
        let error = SealingKey::read(piped.path()).expect_err("pipe");
        assert_eq!(error.code(), "sealing-key.not-a-plain-file");
    }

    #[test]
    fn the_file_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root may give a file away");
            return;
        }
        let home = home();
        SealingKey::create(home.path(), &mut SystemEntropy).expect("created");
        std::os::unix::fs::chown(home.path().join(FILE_NAME), Some(12_345), None).expect("chown");
        let error = SealingKey::read(home.path()).expect_err("foreign");
        assert_eq!(error.code(), "sealing-key.wrong-owner");
        assert!(
            error.to_string().contains("run it as user 12345, or chown 0 "),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_file_is_refused_whatever_the_damage() {
        let home = home();
        SealingKey::create(home.path(), &mut SystemEntropy).expect("created");
        let path = home.path().join(FILE_NAME);
        let whole = fs::read(&path).expect("read");
        // Without the line break it is still whole.
        for len in 0..whole.len() - 1 {
            fs::write(&path, &whole[..len]).expect("write");
            let error = SealingKey::read(home.path()).expect_err("truncated");
            assert_eq!(error.code(), "sealing-key.malformed", "{len} bytes");
        }
        fs::write(&path, [&whole[..], b"x"].concat()).expect("write");
        assert!(SealingKey::read(home.path()).is_err());
        let error = SealingKey::create(home.path(), &mut SystemEntropy).expect_err("exists");
        assert_eq!(error.code(), "sealing-key.exists");
    }

    #[test]
    fn of_many_creators_one_wins_and_all_read_its_key() {
        let home = home();
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| SealingKey::create(home.path(), &mut SystemEntropy)))
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().expect("thread").ok())
                .collect()
        });
        assert_eq!(made.len(), 1);
        let read = SealingKey::read(home.path()).expect("read");
        assert_eq!(read.as_bytes(), made[0].as_bytes());
    }

    #[test]
    fn a_passphrase_gives_one_key_for_one_salt_and_cost() {
        let cheap = PassphraseParams {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
        };
        let key = |passphrase: &str, salt: u8, params| {
            SealingKey::from_passphrase(passphrase.as_bytes(), &[salt; 16], params)
                .expect("key")
                .id()
        };
        let one = key("correct horse", 1, cheap);
        assert_eq!(one, key("correct horse", 1, cheap));
        assert_ne!(one, key("correct horsf", 1, cheap));
        assert_ne!(one, key("correct horse", 2, cheap));
        assert_ne!(
            one,
            key("correct horse", 1, PassphraseParams { passes: 2, ..cheap })
        );
        let default = PassphraseParams::default();
        assert_eq!((default.memory_kib, default.passes), (65_536, 3));

        assert!(SealingKey::from_passphrase(b"", &[1; 16], cheap).is_err());
        let too_little = PassphraseParams {
            memory_kib: 1,
            ..cheap
        };
        let error = SealingKey::from_passphrase(b"word", &[1; 16], too_little).expect_err("cost");
        assert_eq!(error.code(), "sealing-key.passphrase");
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = SealingKey::from_bytes([0xab; 32]);
        assert_eq!(format!("{key:?}"), format!("SealingKey({})", key.id()));
        assert!(!format!("{key:?}").contains("abab"));
    }

    fn home() -> TempDir {
        tempfile::tempdir().expect("temporary folder")
    }
}
