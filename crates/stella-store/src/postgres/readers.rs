//! A few connections that only read.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::conn::{Conn, OpenOptions, Target};
use crate::{Result, StoreError};

pub(super) struct Readers {
    target: Target,
    idle: Mutex<Vec<Conn>>,
    permits: Semaphore,
    wait: Duration,
}

impl Readers {
    pub(super) fn new(target: Target, options: &OpenOptions) -> Self {
        Self {
            target,
            idle: Mutex::default(),
            permits: Semaphore::new(options.pool_size.max(1)),
            wait: options.connect_timeout,
        }
    }

    /// A connection that nobody else uses meanwhile.
    pub(super) async fn reader(&self) -> Result<Reader<'_>> {
        let permit = tokio::time::timeout(self.wait, self.permits.acquire())
            .await
            .map_err(|_| StoreError::Unavailable("every connection that reads is busy".into()))?
            .map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        let conn = match self.kept() {
            Some(conn) => conn,
            None => Conn::open_for_reads(&self.target).await?,
        };
        Ok(Reader {
            pool: self,
            conn: Some(conn),
            _permit: permit,
        })
    }

    fn kept(&self) -> Option<Conn> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Conn::is_sound);
        idle.pop()
    }

    fn keep(&self, conn: Conn) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(conn);
    }
}

pub(super) struct Reader<'p> {
    pool: &'p Readers,
    /// `None` once it is given back.
    conn: Option<Conn>,
    _permit: SemaphorePermit<'p>,
}

impl Deref for Reader<'_> {
    type Target = Conn;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("it is given back only when dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take().and_then(Conn::remaining) {
            self.pool.keep(conn);
        }
    }
}
