//! The tables, and how they come to be.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::failed;
use crate::{Result, StoreError};

/// "Stel", in the file's header: this database is ours.
const APPLICATION_ID: i32 = 0x5374_656c;

/// Each entry brings the schema one version further; entries never change.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];

pub fn version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Creates or migrates, or refuses what this program does not know.
pub fn prepare(connection: &Connection, path: &Path) -> Result<()> {
    let pragma = |name: &str| {
        connection
            .query_row(&format!("PRAGMA signer.{name}"), [], |row| row.get::<_, i32>(0))
            .map_err(failed)
    };
    let (id, found) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM signer.sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if id != APPLICATION_ID && (id != 0 || found != 0 || tables != 0) {
        return Err(StoreError::Schema(format!(
            "{} is a database, but not one of Stella's",
            path.display()
        )));
    }
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    if found > version() {
        return Err(StoreError::Schema(format!(
            "{} has schema version {found}; this program knows versions up to {}: use the newer program",
            path.display(),
            version()
        )));
    }
    if found == version() {
        return Ok(());
    }
    if found > 0 {
        keep_copy(connection, path, found)?;
    }
    let steps = MIGRATIONS
        .iter()
        .skip(usize::try_from(found).unwrap_or(usize::MAX));
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    // Somebody else may have migrated while we waited for the lock.
    let migrated = pragma("user_version").and_then(|now| {
        if u32::try_from(now).unwrap_or(0) != found {
            return Ok(());
        }
        for step in steps {
            connection.execute_batch(step).map_err(failed)?;
        }
        connection
            .execute_batch(&format!(
                "PRAGMA signer.application_id={APPLICATION_ID}; PRAGMA signer.user_version={}",
                version()
            ))
            .map_err(failed)
    });
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(failed)?;
    migrated
}

/// The database as it was, beside it, before the first migration touches it.
fn keep_copy(connection: &Connection, path: &Path, found: u32) -> Result<()> {
    let copy = path.with_extension(format!("db.v{found}"));
    if copy.exists() {
        return Ok(());
    }
    let place = copy.to_string_lossy().into_owned();
    connection
        .execute("VACUUM signer INTO ?1", [&place])
        .map_err(failed)?;
    let unavailable = |e: std::io::Error| StoreError::Unavailable(format!("{place}: {e}"));
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(unavailable)?;
    fs::File::open(&copy)
        .and_then(|f| f.sync_all())
        .map_err(unavailable)
}
