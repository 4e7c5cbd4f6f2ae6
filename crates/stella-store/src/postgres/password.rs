//! The password as its file holds it.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::{Result, StoreError};

pub(super) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let refuse = |why: String| StoreError::Unavailable(format!("the password file {} {why}", file.display()));
    let unreadable = |e: std::io::Error| refuse(format!("cannot be read: {e}"));
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(refuse(format!(
            "can be used by everybody on this machine (mode {:o}); run: chmod 600 {}",
            mode & 0o7777,
            file.display()
        )));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    let read = opened.take(MAX_BYTES as u64).read_to_end(&mut bytes);
    if read.map_err(unreadable)? >= MAX_BYTES {
        return Err(refuse(format!("is longer than any password ({MAX_BYTES} bytes)")));
    }
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(refuse("is empty".to_owned()));
    }
    Ok(bytes)
}

/// The buffer never grows, so no copy stays behind.
const MAX_BYTES: usize = 4096;
