//! The write-ahead log is written back into the file beside the writing.
//! Whoever commits waits only for what came in meanwhile: with that the log is
//! back in the file whole, and begins anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::{OpenOptions, attach};
use crate::{Result, StoreError};

pub(super) struct Checkpoints {
    path: PathBuf,
    options: OpenOptions,
    /// In the log, as of the last commit.
    pages: Arc<AtomicU32>,
    /// There from when it is first needed: most commands end before.
    beside: Option<Beside>,
}

struct Beside {
    /// `None` once it is to end.
    wanted: Option<SyncSender<()>>,
    /// It has written back what it found.
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// So many times what is written back together may be in the log before the
/// writer writes it back itself, however long that takes.
const AT_MOST: u32 = 8;

impl Checkpoints {
    /// Of what this connection commits.
    pub(super) fn of(conn: &mut Connection, path: PathBuf, options: OpenOptions) -> Result<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        // Takes the place of SQLite's own checkpoints.
        conn.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
            counted.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            path,
            options,
            pages,
            beside: None,
        })
    }

    pub(super) fn after_commit(&mut self, conn: &Connection) {
        let (pages, enough) = (self.pages.load(Ordering::Relaxed), self.options.checkpoint_pages);
        if pages < enough {
            return;
        }
        let mut late = pages >= enough.saturating_mul(AT_MOST);
        match self.beside() {
            Some(beside) if beside.done.swap(false, Ordering::AcqRel) => late = true,
            Some(beside) => beside.want(),
            None => late = true,
        }
        if late {
            write_back(conn);
            // Until the next commit says otherwise.
            self.pages.store(0, Ordering::Relaxed);
        }
    }

    fn beside(&mut self) -> Option<&Beside> {
        if self.beside.is_none() {
            match Beside::start(self.path.clone(), self.options.clone()) {
                Ok(beside) => self.beside = Some(beside),
                Err(error) => {
                    tracing::warn!(%error, "the write-ahead log is not written back beside the writing")
                }
            }
        }
        self.beside.as_ref()
    }
}

impl Beside {
    fn start(path: PathBuf, options: OpenOptions) -> Result<Self> {
        let (wanted, asked) = sync_channel(1);
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        let thread = std::thread::Builder::new()
            .name("stella-sqlite-checkpoints".into())
            .spawn(move || serve(&path, &options, &asked, &told))
            .map_err(|e| StoreError::Unavailable(format!("a thread cannot start: {e}")))?;
        Ok(Self {
            wanted: Some(wanted),
            done,
            thread: Some(thread),
        })
    }

    /// If it is not at it already.
    fn want(&self) {
        if let Some(wanted) = &self.wanted {
            let _ = wanted.try_send(());
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.wanted.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(path: &std::path::Path, options: &OpenOptions, asked: &Receiver<()>, done: &AtomicBool) {
    let mut conn = None;
    while asked.recv().is_ok() {
        if conn.is_none() {
            conn = attach(path, options)
                .inspect_err(|error| tracing::warn!(%error, "the write-ahead log is not written back"))
                .ok();
        }
        if let Some(conn) = &conn {
            write_back(conn);
        }
        // Also when it could not: then the writer tries.
        done.store(true, Ordering::Release);
    }
}

/// As much of the log as nobody reads any more. It waits for nobody; what
/// fails is tried again with the next, and loses nothing.
fn write_back(conn: &Connection) {
    let done = conn.query_row("PRAGMA signer.wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "the write-ahead log is not written back");
    }
}
