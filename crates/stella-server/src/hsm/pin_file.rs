//! The PIN as its file holds it.

use std::io::Read;
use std::path::Path;

use stella_keys::hsm::Pin;
use zeroize::Zeroizing;

use crate::app::{Error, Result};

/// Read each time a module is opened or reloaded: who changes the PIN writes
/// the file and reloads.
pub fn read(module: &str, file: &Path) -> Result<Pin> {
    let refuse = |why: String| {
        Error::unavailable(
            "hsm.pin-file",
            format!(
                "HSM unavailable: module \"{module}\": its PIN file {} {why}",
                file.display()
            ),
        )
        .next(format!(
            "put the PIN into the file that hsm.modules.{module}.pinFile names, readable by the server, then stella crypto hsm reconnect --module {module}"
        ))
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    let opened = std::fs::File::open(file).map_err(|e| refuse(format!("cannot be read: {e}")))?;
    opened
        .take(MAX_BYTES as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| refuse(format!("cannot be read: {e}")))?;
    if bytes.len() >= MAX_BYTES {
        return Err(refuse(format!("is longer than any PIN ({MAX_BYTES} bytes)")));
    }
    Pin::from_file_content(std::mem::take(&mut *bytes)).ok_or_else(|| refuse("is empty".to_owned()))
}

/// More than any PIN has. The buffer never grows, so no copy stays behind.
const MAX_BYTES: usize = 1024;
