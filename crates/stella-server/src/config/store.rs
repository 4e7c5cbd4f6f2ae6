//! `store`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use stella_store::postgres::PostgresUrl;

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    pub url: StoreUrl,
    /// Holds the password alone.
    pub password_file: Option<PathBuf>,
    /// Connections to PostgreSQL that read at the same time; one more writes.
    pub pool_size: usize,
    /// How long to wait for a connection, new or from the pool.
    pub connect_timeout: Duration,
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
    pub idle_in_transaction_timeout: Duration,
    /// How long a write is tried again after failures that pass.
    pub retry_for: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: StoreUrl::Home,
            password_file: None,
            pool_size: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(10),
        }
    }
}

/// Where everything is kept. Never shows a password.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:`, a file in the home.
    Home,
    /// `sqlite:/PATH`.
    File(PathBuf),
    /// `postgres://USER@HOST/DATABASE`.
    Postgres(Box<PostgresUrl>),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(url: &str) -> std::result::Result<Self, String> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let parsed = url.parse().map(|url| Self::Postgres(Box::new(url)));
            return parsed.map_err(|e: stella_store::postgres::BadUrl| format!("is wrong: {e}"));
        }
        match url.strip_prefix("sqlite:") {
            Some("") => Ok(Self::Home),
            Some(path) if path.starts_with('/') => Ok(Self::File(path.into())),
            // One that depended on where the process was started would be
            // another store for every folder.
            Some(_) => {
                Err("must be sqlite: (a file in the home), or sqlite: and a path from the root".to_owned())
            }
            None => Err("must be sqlite:, sqlite:/path or postgres://user@host/db".to_owned()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => f.write_str("sqlite:"),
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => write!(f, "{} as {}", url.place(), url.user()),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

pub fn read(mut section: Section<'_>, store: &mut StoreSettings) -> Result<()> {
    section.read("url", &mut store.url, |item| {
        item.text()?.parse().map_err(|why: String| item.wrong(why))
    })?;
    section.read("passwordFile", &mut store.password_file, |item| {
        Ok(Some(item.text()?.into()))
    })?;
    if let Some(mut pool) = section.section("pool")? {
        pool.read("size", &mut store.pool_size, |item| {
            item.number::<u32>().map(|n| n as usize)
        })?;
        pool.finish()?;
    }
    for (key, into) in [
        ("connectTimeout", &mut store.connect_timeout),
        ("statementTimeout", &mut store.statement_timeout),
        ("lockTimeout", &mut store.lock_timeout),
        ("idleInTransactionTimeout", &mut store.idle_in_transaction_timeout),
        ("retryFor", &mut store.retry_for),
    ] {
        section.read(key, into, Item::duration)?;
    }
    section.finish()
}
