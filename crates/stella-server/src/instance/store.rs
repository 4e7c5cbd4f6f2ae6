//! The store that the settings name.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use stella_store::postgres::{self, PostgresStore, PostgresUrl};
use stella_store::sqlite::{OpenOptions, SqliteStore};
use stella_store::{Store, StoreError};

use super::{InstanceError, StoreChoice};
use crate::config::{Settings, StoreSettings, StoreUrl};
use crate::home::{Home, HomeError};

pub(super) async fn open(
    home: &Home,
    settings: &Settings,
    create: bool,
) -> Result<Arc<dyn Store>, InstanceError> {
    match &settings.store.url {
        StoreUrl::Home => in_file(home.database(), create).await,
        StoreUrl::File(path) => in_file(path.clone(), create).await,
        StoreUrl::Postgres(url) => in_postgres(url, &settings.store).await,
    }
}

pub(super) async fn in_postgres(
    url: &PostgresUrl,
    settings: &StoreSettings,
) -> Result<Arc<dyn Store>, InstanceError> {
    Ok(Arc::new(PostgresStore::open(url, &bounds(settings)).await?))
}

pub(crate) fn bounds(settings: &StoreSettings) -> postgres::OpenOptions {
    postgres::OpenOptions {
        pool_size: settings.pool_size,
        connect_timeout: settings.connect_timeout,
        statement_timeout: settings.statement_timeout,
        lock_timeout: settings.lock_timeout,
        idle_in_transaction_timeout: settings.idle_in_transaction_timeout,
        retry_for: settings.retry_for,
        password_file: settings.password_file.clone(),
        ..postgres::OpenOptions::default()
    }
}

async fn in_file(path: PathBuf, create: bool) -> Result<Arc<dyn Store>, InstanceError> {
    let options = OpenOptions {
        create,
        ..OpenOptions::default()
    };
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &options));
    match opened.await {
        Ok(store) => Ok(Arc::new(store?)),
        Err(e) => Err(StoreError::Unavailable(e.to_string()).into()),
    }
}

/// Into the configuration of the home, so that its server finds the store.
pub(super) fn write_choice(home: &Home, choice: &StoreChoice) -> Result<(), InstanceError> {
    // A string of JSON is one of YAML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let url = match &choice.url {
        StoreUrl::Postgres(url) => quoted(url.as_text()),
        other => quoted(&other.to_string()),
    };
    let mut text = format!("store:\n  url: {url}\n");
    if let Some(file) = &choice.password_file {
        text.push_str(&format!(
            "  passwordFile: {}\n",
            quoted(&file.display().to_string())
        ));
    }
    let path = home.config();
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|source| HomeError::Io { path, source }.into())
}
