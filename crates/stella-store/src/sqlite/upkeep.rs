//! Describing, checking and mending the store.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use stella_core::trust::TrustState;

use super::row::execute;
use super::{SqliteStore, attach, events, projections, schema, verify};
use crate::{Lead, Result, StoreDescription, StoreError, Upkeep, VerifyReport};

#[async_trait]
impl Upkeep for SqliteStore {
    async fn describe(&self) -> Result<StoreDescription> {
        let place = self.path.display().to_string();
        self.readers
            .read(move |conn| {
                Ok(StoreDescription {
                    driver: "sqlite",
                    place,
                    schema_version: schema::version(conn)?,
                    head: events::head(conn)?,
                })
            })
            .await
    }

    async fn verify(&self) -> Result<VerifyReport> {
        self.readers.read(|conn| Ok(verify::report(conn))).await
    }

    /// A connection of its own: what it reads is of one moment, and writers
    /// wait for no reader.
    async fn snapshot(&self, to: &Path) -> Result<bool> {
        let to = to.to_str().map(str::to_owned).ok_or_else(|| {
            StoreError::Unavailable(format!("{} is no name that SQLite can open", to.display()))
        })?;
        let (path, options) = (self.path.clone(), self.options.clone());
        let copied = tokio::task::spawn_blocking(move || -> Result<()> {
            let conn = attach(&path, &options)?;
            conn.execute("VACUUM signer INTO ?1", [to])?;
            Ok(())
        });
        copied
            .await
            .map_err(|e| StoreError::Unavailable(format!("the copy broke off: {e}")))??;
        Ok(true)
    }

    async fn rebuild_projections(&self) -> Result<()> {
        self.writer
            .write(|commit| {
                let events = events::events_after(commit.conn, 0, usize::MAX)?;
                let state = TrustState::fold(&events).map_err(|e| StoreError::Corrupt(e.to_string()))?;
                projections::write_all(commit.conn, &state)
            })
            .await
    }

    async fn probe(&self) -> Result<()> {
        self.writer
            .write(|commit| {
                // Counted up, because writing what is there already writes nothing.
                execute(
                    commit.conn,
                    "INSERT INTO signer.meta (key, value) VALUES ('probe', '1')
                     ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
                    [],
                )?;
                Ok(())
            })
            .await
    }

    /// Of one process, which alone has the home.
    async fn lead(&self, duty: &str) -> Result<Option<Box<dyn Lead>>> {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        if !led.insert(duty.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Leading {
            duty: duty.to_owned(),
            led: Arc::clone(&self.led),
        })))
    }
}

/// Which duties are led just now.
pub(super) type Led = Arc<Mutex<HashSet<String>>>;

struct Leading {
    duty: String,
    led: Led,
}

#[async_trait]
impl Lead for Leading {
    async fn stands(&self) -> bool {
        true
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        led.remove(&self.duty);
    }
}
