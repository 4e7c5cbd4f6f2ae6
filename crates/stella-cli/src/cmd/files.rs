//! Files of the caller's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::CliError;

/// `-` is standard input.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text)
    } else {
        File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|e| CliError::file(path, &e))
}

/// A key as PEM, or base64 of what is DER.
pub fn read_key(path: &Path) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|e| CliError::file(path, &e))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) if text.is_ascii() && !text.starts_with('0') => text,
        Ok(text) => STANDARD.encode(text),
        Err(e) => STANDARD.encode(e.as_bytes()),
    })
}

/// Whole or not at all, and durable once it is there: whoever reads the file
/// sees the old bytes or the new ones.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |e: io::Error| CliError::file(path, &e);
    // A pipe or a device has nothing to replace.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return fs::write(path, bytes).map_err(failed);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path
        .file_name()
        .ok_or_else(|| CliError::usage(format!("{} is not a file name", path.display())))?;
    let (temporary, mut file) = beside(folder, name, |path| File::create_new(path)).map_err(failed)?;
    let written = (|| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed)
}

/// Makes something under a name of its own in the folder where `name` is to
/// be. In a container every process may have the same id, so that one which
/// was killed must not stand in the way of the next.
pub fn beside<T>(
    folder: &Path,
    name: &OsStr,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    let mut tries = 0..MAX_LEFT_BEHIND;
    loop {
        let own = format!(
            ".{}.{}-{}.tmp",
            name.to_string_lossy(),
            std::process::id(),
            tries.start
        );
        let path = folder.join(own);
        match (make(&path), tries.next()) {
            (Err(e), Some(_)) if e.kind() == io::ErrorKind::AlreadyExists => {}
            (made, _) => return made.map(|made| (path, made)),
        }
    }
}

const MAX_LEFT_BEHIND: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bundle.json");
        write_atomically(&path, b"one").expect("written");
        write_atomically(&path, b"two").expect("replaced");
        assert_eq!(read_text(&path).expect("read"), "two");
        let left: Vec<_> = fs::read_dir(folder.path()).expect("listed").collect();
        assert_eq!(left.len(), 1, "no temporary file stays");
        let missing = folder.path().join("no/such/folder.json");
        assert!(write_atomically(&missing, b"x").is_err());
    }

    #[test]
    fn what_a_killed_process_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = OsStr::new("bundle.json");
        let (left, _) = beside(folder.path(), name, |path| File::create_new(path)).expect("made");
        let (own, _) = beside(folder.path(), name, |path| File::create_new(path)).expect("made");
        assert_ne!(left, own);
        write_atomically(&folder.path().join(name), b"one").expect("written");
    }
}
