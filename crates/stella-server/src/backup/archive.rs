//! The archive: a tar file, so that `age -d | tar x` opens it as well. Its
//! first member says which follow, and with which digests.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use stella_core::api::backup::{BackupManifest, BackupMember};
use zeroize::Zeroizing;

use super::members::{CONFIG, DATABASE, LOCAL_HSM, Member, SEALING_KEY};
use super::{BackupError, FORMAT};

pub type Manifest = BackupManifest;

const MANIFEST: &str = "manifest.json";
const MAX_MANIFEST: u64 = 1 << 20;

/// Writes the manifest, which is given without its members, and these.
pub fn write(mut manifest: Manifest, mut members: Vec<Member>, to: impl Write) -> Result<(), BackupError> {
    for member in &mut members {
        let (bytes, mut content) = member.content.read()?;
        let mut digest = Digesting::new(io::sink());
        io::copy(&mut content, &mut digest)?;
        manifest.members.push(BackupMember {
            name: member.name.clone(),
            bytes,
            sha256: digest.finish(),
        });
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
    let mut tar = tar::Builder::new(to);
    append(&mut tar, MANIFEST, text.len() as u64, &text[..])?;
    for (member, told) in members.iter_mut().zip(&manifest.members) {
        let (_, content) = member.content.read()?;
        let mut digest = Digested::new(content.take(told.bytes));
        append(&mut tar, &told.name, told.bytes, &mut digest)?;
        if digest.finish() != told.sha256 {
            return Err(BackupError::Damaged(format!(
                "{} changed while it was read",
                told.name
            )));
        }
    }
    tar.into_inner()?.flush()?;
    Ok(())
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o600);
    tar.append_data(&mut header, name, content)
}

/// What becomes of each member that is read: where it goes.
pub(super) trait Place {
    fn put(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), BackupError>;
}

/// Reads all of it, up to its very end, and compares.
pub(super) fn read(from: impl Read, place: &mut impl Place) -> Result<Manifest, BackupError> {
    let mut tar = tar::Archive::new(from);
    let mut entries = tar.entries()?;
    let Some(first) = entries.next() else {
        return Err(BackupError::Foreign("it is empty".to_owned()));
    };
    let first = first.map_err(damaged)?;
    if first.path().map_err(damaged)?.as_os_str() != MANIFEST {
        return Err(BackupError::Foreign(
            "it does not begin with a manifest".to_owned(),
        ));
    }
    let mut text = Vec::new();
    first.take(MAX_MANIFEST).read_to_end(&mut text).map_err(damaged)?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| BackupError::Foreign(format!("its manifest: {e}")))?;
    if manifest.format != FORMAT {
        return Err(BackupError::Foreign(format!(
            "its format is {:?}",
            manifest.format
        )));
    }
    for told in &manifest.members {
        if !is_ours(&told.name) {
            return Err(BackupError::Foreign(format!("it holds {:?}", told.name)));
        }
        let entry = entries.next().ok_or_else(|| missing(&told.name))?;
        let entry = entry.map_err(damaged)?;
        let found = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        let plain = entry.header().entry_type() == tar::EntryType::Regular;
        if found != told.name || entry.size() != told.bytes || !plain {
            return Err(missing(&told.name));
        }
        let mut content = Digested::new(entry);
        place.put(&told.name, told.bytes, &mut content)?;
        io::copy(&mut content, &mut io::sink()).map_err(damaged)?;
        if content.finish() != told.sha256 {
            return Err(BackupError::Damaged(format!("{} has another digest", told.name)));
        }
    }
    if let Some(more) = entries.next() {
        more.map_err(damaged)?;
        return Err(BackupError::Damaged(
            "it holds more than its manifest says".to_owned(),
        ));
    }
    // Only then is the end of what was encrypted seen to be the end.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(manifest)
}

/// A name that is written below a home, or nothing is.
fn is_ours(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    match name {
        DATABASE | SEALING_KEY | CONFIG => true,
        other => {
            let parts: Vec<&str> = other.split('/').collect();
            matches!(parts[..], [LOCAL_HSM, hsm, file] if plain(hsm) && plain(file))
        }
    }
}

fn missing(name: &str) -> BackupError {
    BackupError::Damaged(format!("{name} is not where its manifest says"))
}

/// Damage to the encryption comes as an error of reading.
pub(super) fn damaged(error: io::Error) -> BackupError {
    use super::age::AgeError;
    let age = error.get_ref().is_some_and(|inner| inner.is::<AgeError>());
    if age || error.kind() == io::ErrorKind::UnexpectedEof {
        return BackupError::Age(AgeError::Content);
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::Other | io::ErrorKind::InvalidInput => {
            BackupError::Damaged(error.to_string())
        }
        _ => BackupError::Io(error),
    }
}

/// Passes on what is written to it.
struct Digesting<W> {
    to: W,
    digest: Context,
}

impl<W: Write> Digesting<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            digest: Context::new(&SHA256),
        }
    }

    fn finish(self) -> String {
        hex::encode(self.digest.finish())
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Passes on what is read from it.
struct Digested<R> {
    from: R,
    digest: Context,
}

impl<R: Read> Digested<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            digest: Context::new(&SHA256),
        }
    }

    fn finish(self) -> String {
        hex::encode(self.digest.finish())
    }
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.digest.update(&into[..read]);
        Ok(read)
    }
}

/// All of it, in memory that is cleansed.
pub(super) fn secret(size: u64, content: &mut dyn Read) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let room = usize::try_from(size).unwrap_or_default().min(1 << 20) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    content
        .take(room as u64)
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    Ok(bytes)
}
