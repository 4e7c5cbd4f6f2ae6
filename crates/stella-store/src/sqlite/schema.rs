//! Schema versions: one SQL text each, run forward only.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::file::{Draft, exists, with_suffix};
use super::row::{execute, first};
use crate::{Result, StoreError};

pub(super) struct Migration {
    /// The version that this brings about.
    pub(super) version: u32,
    /// The oldest release that runs on that version.
    pub(super) oldest_binary: &'static str,
    pub(super) sql: &'static str,
}

/// To change the schema, add one line; what was released is never edited.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        oldest_binary: "0.1.0",
        sql: include_str!("schema_v1.sql"),
    },
    Migration {
        version: 2,
        oldest_binary: "0.1.0",
        sql: include_str!("schema_v2.sql"),
    },
    Migration {
        version: 3,
        oldest_binary: "0.1.0",
        sql: include_str!("schema_v3.sql"),
    },
    Migration {
        version: 4,
        oldest_binary: "0.1.0",
        sql: include_str!("schema_v4.sql"),
    },
    Migration {
        version: 5,
        oldest_binary: "0.1.0",
        sql: include_str!("schema_v5.sql"),
    },
    Migration {
        version: 6,
        oldest_binary: "0.1.0",
        sql: include_str!("schema_v6.sql"),
    },
];

/// "Stel" in the header of every Stella database.
pub(super) const APPLICATION_ID: u32 = 0x5374_656c;

pub(super) fn initialise(conn: &Connection, migrations: &[Migration]) -> Result<()> {
    conn.execute_batch(&format!("PRAGMA signer.application_id = {APPLICATION_ID}"))?;
    migrate(conn, migrations)
}

pub(super) fn expect_ours(conn: &Connection) -> Result<()> {
    let id: u32 = conn.query_row("PRAGMA signer.application_id", [], |row| row.get(0))?;
    if id == APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreError::Schema(
            "it is another program's SQLite database".into(),
        ))
    }
}

/// Upgrades an older database after keeping a copy; refuses a newer one.
pub(super) fn bring_up_to_date(conn: &Connection, path: &Path, migrations: &[Migration]) -> Result<()> {
    let newest = newest(migrations);
    let found = version(conn)?;
    if found == newest {
        return Ok(());
    }
    if found == 0 || found > newest {
        return Err(unknown(found, newest));
    }
    let copy = keep_copy(conn, path, found)?;
    tracing::info!(from = found, to = newest, copy = %copy.display(), "upgrading the database's schema");
    migrate(conn, migrations)
}

pub(super) fn version(conn: &Connection) -> Result<u32> {
    Ok(conn.query_row("PRAGMA signer.user_version", [], |row| row.get(0))?)
}

fn newest(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(0, |m| m.version)
}

fn unknown(found: u32, newest: u32) -> StoreError {
    let advice = if found > newest {
        "it was upgraded by a newer release: use that one, or restore the copy kept before the upgrade"
    } else {
        "it is not a finished Stella database"
    };
    StoreError::Schema(format!(
        "the schema version is {found}; this binary ({}) runs on versions 1 to {newest}; {advice}",
        env!("CARGO_PKG_VERSION"),
    ))
}

/// All in one transaction. Whoever comes second finds nothing left to do.
///
/// References are looked at when all is done, not while a table that others
/// refer to is made anew (SQLite, ALTER TABLE, section 7).
fn migrate(conn: &Connection, migrations: &[Migration]) -> Result<()> {
    conn.execute_batch("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE")?;
    let done = apply(conn, migrations)
        .and_then(|()| expect_whole(conn))
        .and_then(|()| Ok(conn.execute_batch("COMMIT")?));
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    conn.execute_batch("PRAGMA foreign_keys = ON")?;
    done
}

fn expect_whole(conn: &Connection) -> Result<()> {
    let orphan = first(conn, "PRAGMA signer.foreign_key_check", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?))
    })?;
    match orphan {
        None => Ok(()),
        Some((from, to)) => Err(StoreError::Corrupt(format!(
            "a row of {from} refers to a row of {to} that does not exist"
        ))),
    }
}

fn apply(conn: &Connection, migrations: &[Migration]) -> Result<()> {
    let found = version(conn)?;
    for migration in migrations.iter().filter(|m| m.version > found) {
        conn.execute_batch(migration.sql)?;
        execute(
            conn,
            "INSERT INTO signer.meta (key, value) VALUES ('oldest_binary', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [migration.oldest_binary],
        )?;
        conn.execute_batch(&format!("PRAGMA signer.user_version = {}", migration.version))?;
    }
    Ok(())
}

/// Made whole under another name first: a copy that was cut off must not look
/// like one to go back to.
fn keep_copy(conn: &Connection, path: &Path, version: u32) -> Result<PathBuf> {
    let draft = Draft::beside(path)?;
    conn.execute("VACUUM signer INTO ?1", [draft.path().to_string_lossy()])?;
    for n in 1_u32.. {
        let suffix = if n == 1 {
            format!(".v{version}.bak")
        } else {
            format!(".v{version}.{n}.bak")
        };
        let copy = with_suffix(path, &suffix);
        if !exists(&copy)? {
            draft.publish(&copy)?;
            return Ok(copy);
        }
    }
    Err(StoreError::Unavailable("no name is left for a copy".into()))
}
