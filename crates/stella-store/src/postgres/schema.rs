//! Schema versions: one SQL text each, run forward only, and only when asked.

use super::conn::{Conn, Target};
use crate::{Result, StoreError};

pub(super) struct Migration {
    /// The version that this brings about.
    pub(super) version: i32,
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
];

const VERSIONS: &str = "CREATE SCHEMA IF NOT EXISTS signer;
    CREATE TABLE IF NOT EXISTS signer.schema_versions (
        version       INTEGER PRIMARY KEY CHECK (version > 0),
        oldest_binary TEXT NOT NULL,
        applied_at    TIMESTAMPTZ NOT NULL DEFAULT NOW()
    )";

/// Only one migrates at a time; the second finds nothing left to do.
const LOCK: &str = "SELECT pg_advisory_xact_lock(6004794)";

const ROLES: &str = include_str!("roles.sql");

/// How a database's schema stands to this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaState {
    pub place: String,
    /// Zero where nothing was set up yet.
    pub version: u32,
    /// The newest version that this binary knows.
    pub newest: u32,
    /// The oldest release that runs on the version that is there.
    pub oldest_binary: Option<String>,
    pub pending: Vec<Pending>,
    /// Why this binary does not run on it.
    pub obstacle: Option<String>,
}

/// What `migrate` would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub version: u32,
    /// The oldest release that runs once it has run.
    pub oldest_binary: &'static str,
    pub sql: &'static str,
}

/// Changes nothing.
pub async fn schema_state(target: &Target) -> Result<SchemaState> {
    let conn = Conn::open(target).await?;
    let found = if is_set_up(&conn).await? {
        newest_applied(&conn).await?
    } else {
        None
    };
    let version = found.as_ref().map_or(0, |(version, _)| *version);
    let obstacle = match expect_usable(&conn, MIGRATIONS).await {
        Ok(_) => None,
        Err(StoreError::Schema(why)) => Some(why),
        Err(other) => return Err(other),
    };
    let pending = MIGRATIONS
        .iter()
        .filter(|m| m.version > version)
        .map(|m| Pending {
            version: m.version.unsigned_abs(),
            oldest_binary: m.oldest_binary,
            sql: m.sql,
        });
    Ok(SchemaState {
        place: target.place().to_owned(),
        version: version.unsigned_abs(),
        newest: newest(MIGRATIONS).unsigned_abs(),
        oldest_binary: found.map(|(_, oldest)| oldest),
        pending: pending.collect(),
        obstacle,
    })
}

/// Brings the schema up to date as the owner of the database, and lets
/// `service`, a role that exists, use it. Answers which versions that added.
pub async fn migrate(target: &Target, service: Option<&str>) -> Result<Vec<u32>> {
    let conn = Conn::open(target).await?;
    apply(&conn, MIGRATIONS, service).await
}

pub(super) async fn apply(conn: &Conn, migrations: &[Migration], service: Option<&str>) -> Result<Vec<u32>> {
    // As long as it takes: half a migration is none, and it would begin anew.
    conn.batch("BEGIN; SET LOCAL statement_timeout = 0").await?;
    conn.batch(LOCK).await?;
    conn.batch(VERSIONS).await?;
    let found = newest_applied(conn).await?.map_or(0, |(version, _)| version);
    let newest = newest(migrations);
    if found > newest {
        return Err(unknown(found, newest));
    }
    let mut added = Vec::new();
    for migration in migrations.iter().filter(|m| m.version > found) {
        conn.batch(migration.sql).await?;
        conn.execute(
            "INSERT INTO signer.schema_versions (version, oldest_binary) VALUES ($1, $2)",
            &[&migration.version, &migration.oldest_binary],
        )
        .await?;
        added.push(migration.version.unsigned_abs());
    }
    if let Some(role) = service {
        let sql = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1";
        if conn.first(sql, &[&role]).await?.is_none() {
            return Err(StoreError::Missing(format!(
                "there is no role {role} on that server; make it there first: CREATE ROLE {} LOGIN",
                quoted(role)
            )));
        }
        conn.batch(&ROLES.replace("{role}", &quoted(role))).await?;
    }
    conn.batch("COMMIT").await?;
    Ok(added)
}

/// Refuses a schema that this binary does not know how to use.
pub(super) async fn expect_usable(conn: &Conn, migrations: &[Migration]) -> Result<u32> {
    if !is_set_up(conn).await? {
        return Err(StoreError::Schema(
            "this database is not set up for Stella; set it up with: stella db migrate".into(),
        ));
    }
    let newest = newest(migrations);
    match newest_applied(conn).await? {
        Some((version, _)) if version == newest => Ok(version.unsigned_abs()),
        // A release later than this one made room for this one to go on.
        Some((version, oldest)) if version > newest && runs_on(&oldest) => Ok(version.unsigned_abs()),
        Some((version, _)) if version > newest => Err(unknown(version, newest)),
        found => Err(StoreError::Schema(format!(
            "the database's schema version is {}; this binary ({OWN}) needs version {newest}; \
             bring it up to date with: stella db migrate",
            found.map_or(0, |(version, _)| version),
        ))),
    }
}

async fn is_set_up(conn: &Conn) -> Result<bool> {
    let sql = "SELECT to_regclass('signer.schema_versions') IS NOT NULL";
    Ok(conn.first(sql, &[]).await?.is_some_and(|row| row.get(0)))
}

async fn newest_applied(conn: &Conn) -> Result<Option<(i32, String)>> {
    let sql = "SELECT version, oldest_binary FROM signer.schema_versions ORDER BY version DESC LIMIT 1";
    let row = conn.first(sql, &[]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

const OWN: &str = env!("CARGO_PKG_VERSION");

fn newest(migrations: &[Migration]) -> i32 {
    migrations.last().map_or(0, |m| m.version)
}

fn unknown(found: i32, newest: i32) -> StoreError {
    StoreError::Schema(format!(
        "the database's schema version is {found}; this binary ({OWN}) runs on versions up to {newest}; \
         a newer release upgraded it: use that one"
    ))
}

fn runs_on(oldest: &str) -> bool {
    matches!((release(OWN), release(oldest)), (Some(own), Some(oldest)) if own >= oldest)
}

fn release(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
