//! `--trust-state DIR`: the newest trust bundle seen of each instance. A
//! folder that is not there yet is a first use; one that is there and has
//! lost its file is a loss, and never taken for a first use.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use stella_core::bundle::trust::{Refused, Seen, SignedBundle};

use crate::cmd::files::{beside, write_atomically};
use crate::context::Context;
use crate::error::CliError;

const FILE: &str = "trust-state.json";
const LOCK: &str = "lock";

/// Takes note of the bundle, durably, before anything is judged by it. The
/// inner error is about the bundle: it is not to be used.
pub fn keep(
    context: &Context,
    folder: &Path,
    signed: &SignedBundle,
) -> Result<Result<(), Refused>, CliError> {
    let failed = |e: io::Error| CliError::file(folder, &e);
    if !folder.try_exists().map_err(failed)? {
        begin(folder)?;
        context.printer.note(&format!(
            "{} is new: from now on it remembers the newest trust bundle",
            folder.display()
        ));
    }
    // Two gates at once must not write one over the other's newer number.
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(folder.join(LOCK))
        .map_err(failed)?;
    lock.lock().map_err(failed)?;
    let path = folder.join(FILE);
    let bytes = fs::read(&path).map_err(|e| lost(&path, &e))?;
    let mut seen = Seen::parse(&bytes).map_err(|e| lost(&path, &e))?;
    Ok(match seen.note(signed) {
        Ok(false) => Ok(()),
        Ok(true) => {
            write_atomically(&path, &bytes_of(&seen)?)?;
            Ok(())
        }
        Err(refused) => Err(refused),
    })
}

/// The folder appears with its file in it, or not at all.
fn begin(folder: &Path) -> Result<(), CliError> {
    let failed = |e: io::Error| CliError::file(folder, &e);
    let name = folder
        .file_name()
        .ok_or_else(|| CliError::usage(format!("{} is not a folder's name", folder.display())))?;
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (temporary, ()) =
        beside(parent, name, |path| DirBuilder::new().mode(0o700).create(path)).map_err(failed)?;
    let made = write_atomically(&temporary.join(FILE), &bytes_of(&Seen::default())?).and_then(|()| {
        match fs::rename(&temporary, folder) {
            // Another gate was first.
            Err(_) if folder.join(FILE).exists() => fs::remove_dir_all(&temporary).map_err(failed),
            other => other.map_err(failed),
        }
    });
    if made.is_err() {
        // What it holds says nothing yet.
        let _ = fs::remove_dir_all(&temporary);
    }
    made?;
    File::open(parent).and_then(|p| p.sync_all()).map_err(failed)
}

fn bytes_of(seen: &Seen) -> Result<Vec<u8>, CliError> {
    seen.to_bytes()
        .map_err(|e| CliError::failed("trust.state", format!("the trust state cannot be written: {e}")))
}

fn lost(path: &Path, why: &dyn std::fmt::Display) -> CliError {
    CliError::failed(
        "trust.state",
        format!(
            "{}: {why}: what this verifier has seen is not known, so an old trust bundle could pass for the newest",
            path.display()
        ),
    )
    .next("restore the folder; only where this verifier has never seen a trust bundle, give one that does not exist yet")
}
