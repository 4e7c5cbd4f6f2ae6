//! A few connections that only read, used on the blocking threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::row::execute;
use super::{OpenOptions, attach, keep_in_wal};
use crate::{Result, StoreError};

pub(super) struct Readers {
    path: PathBuf,
    options: OpenOptions,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, options: OpenOptions) -> Self {
        let permits = Arc::new(Semaphore::new(options.readers.max(1)));
        Self {
            path,
            options,
            idle: Arc::default(),
            permits,
        }
    }

    /// Runs `work` on one snapshot of the database.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        let (path, options, idle) = (self.path.clone(), self.options.clone(), Arc::clone(&self.idle));
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let conn = match kept {
                Some(conn) => conn,
                None => open(&path, &options)?,
            };
            execute(&conn, "BEGIN", [])?;
            let answer = work(&conn);
            // A connection that cannot end its transaction is not kept.
            if execute(&conn, "ROLLBACK", []).is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            }
            answer
        })
        .await
        .map_err(|e| StoreError::Unavailable(format!("a read broke off: {e}")))?
    }
}

fn open(path: &std::path::Path, options: &OpenOptions) -> Result<Connection> {
    let conn = attach(path, options)?;
    keep_in_wal(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}
