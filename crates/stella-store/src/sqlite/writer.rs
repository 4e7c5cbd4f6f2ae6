//! One thread that writes: whoever waits while a commit is on its way to the
//! disk shares the next one.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use rusqlite::Connection;
use stella_core::digest::Sha256;
use stella_core::id::KeyId;
use tokio::sync::{mpsc, oneshot};

use super::checkpoints::Checkpoints;
use super::error::of_commit;
use super::row::{execute, first, integer};
use super::{events, ledger};
use crate::chain::{CHAIN_START, chain_head};
use crate::{Result, StoreError};

pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Member>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(conn: Connection, checkpoints: Checkpoints, max_batch: usize) -> Result<Self> {
        let (queue, jobs) = mpsc::channel(max_batch.max(1));
        let thread = std::thread::Builder::new()
            .name("stella-sqlite-writer".into())
            .spawn(move || serve(&conn, checkpoints, jobs, max_batch))
            .map_err(|e| StoreError::Unavailable(format!("the writer thread cannot start: {e}")))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` inside the next commit and answers once that is durable.
    /// When `work` fails, what it wrote is undone and the others go on. It may
    /// be run again, after what it did was undone.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Commit<'_>) -> Result<T> + Send + 'static,
    {
        let (to, answer) = oneshot::channel();
        let member = Box::new(Pending {
            work,
            outcome: None,
            to,
        });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(member).await.map_err(|_| stopped())?;
        answer
            .await
            .map_err(|_| StoreError::Unknown("the writer stopped before it answered".into()))?
    }
}

/// What was queued is still written; then the file is closed.
impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been answered to its callers.
            let _ = thread.join();
        }
    }
}

/// The open transaction, and what it adds to the hash chain.
pub(super) struct Commit<'c> {
    pub(super) conn: &'c Connection,
    events: Vec<(u64, Sha256)>,
    entries: Vec<(u64, Sha256)>,
    known: Known,
}

/// What was read in this commit and is still so: nobody else writes meanwhile.
#[derive(Default)]
struct Known {
    head: Option<u64>,
    next_ledger_entry: Option<u64>,
    keys: HashMap<KeyId, Option<u64>>,
}

impl<'c> Commit<'c> {
    fn of(conn: &'c Connection) -> Self {
        Self {
            conn,
            events: Vec::new(),
            entries: Vec::new(),
            known: Known::default(),
        }
    }

    pub(super) fn head(&mut self) -> Result<u64> {
        known(&mut self.known.head, || events::head(self.conn))
    }

    pub(super) fn key_version(&mut self, key: &KeyId) -> Result<Option<u64>> {
        if let Some(version) = self.known.keys.get(key) {
            return Ok(*version);
        }
        let version = events::key_version(self.conn, key)?;
        self.known.keys.insert(key.clone(), version);
        Ok(version)
    }

    /// Whoever asks enters it.
    pub(super) fn next_ledger_entry(&mut self) -> Result<u64> {
        let next = known(&mut self.known.next_ledger_entry, || ledger::next(self.conn))?;
        self.known.next_ledger_entry = Some(next + 1);
        Ok(next)
    }

    /// Something of it is not so any more.
    pub(super) fn forget(&mut self) {
        self.known = Known::default();
    }

    pub(super) fn chain_event(&mut self, sequence: u64, bytes: &[u8]) {
        self.events.push((sequence, Sha256::of(bytes)));
    }

    pub(super) fn chain_ledger_entry(&mut self, entry: u64, bytes: &[u8]) {
        self.entries.push((entry, Sha256::of(bytes)));
    }

    fn seal(&self) -> Result<()> {
        if self.events.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        let before = first(
            self.conn,
            "SELECT head FROM signer.event_chain ORDER BY commit_id DESC LIMIT 1",
            [],
            |row| Ok(Sha256::from_bytes(row.get("head")?)),
        )?
        .unwrap_or(CHAIN_START);
        let head = chain_head(
            &before,
            self.events.iter().map(|(_, digest)| digest),
            self.entries.iter().map(|(_, digest)| digest),
        );
        let ends = |rows: &[(u64, Sha256)]| {
            (
                rows.first().map(|(n, _)| integer(*n)),
                rows.last().map(|(n, _)| integer(*n)),
            )
        };
        let ((first_sequence, last_sequence), (first_entry, last_entry)) =
            (ends(&self.events), ends(&self.entries));
        execute(
            self.conn,
            "INSERT INTO signer.event_chain (first_sequence, last_sequence, first_entry, last_entry, head)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                first_sequence,
                last_sequence,
                first_entry,
                last_entry,
                head.as_bytes(),
            ),
        )?;
        Ok(())
    }
}

fn known(memory: &mut Option<u64>, read: impl FnOnce() -> Result<u64>) -> Result<u64> {
    if let Some(number) = *memory {
        return Ok(number);
    }
    read().inspect(|number| *memory = Some(*number))
}

trait Member: Send {
    fn run(&mut self, commit: &mut Commit<'_>) -> std::result::Result<(), StoreError>;
    fn answer(self: Box<Self>, committed: &Result<()>);
}

struct Pending<T, F> {
    work: F,
    outcome: Option<Result<T>>,
    to: oneshot::Sender<Result<T>>,
}

impl<T, F> Member for Pending<T, F>
where
    T: Send,
    F: Fn(&mut Commit<'_>) -> Result<T> + Send,
{
    fn run(&mut self, commit: &mut Commit<'_>) -> Result<()> {
        // One caller's bug must not take the writer from all the others.
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(commit)))
            .unwrap_or_else(|_| Err(StoreError::Corrupt("a write panicked and was undone".into())));
        let verdict = outcome.as_ref().map(|_| ()).map_err(StoreError::again);
        self.outcome = Some(outcome);
        verdict
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        let Self { work, outcome, to } = *self;
        // What it shares with its caller is the caller's from here on.
        drop(work);
        let answer = match (committed, outcome) {
            (_, Some(Err(own))) => Err(own),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(StoreError::Unavailable("the write was never begun".into())),
            (Err(shared), _) => Err(shared.again()),
        };
        // The caller may have gone away; what it wrote stays.
        let _ = to.send(answer);
    }
}

/// The checkpoints end first: the last connection that closes removes the log.
fn serve(
    conn: &Connection,
    mut checkpoints: Checkpoints,
    mut jobs: mpsc::Receiver<Box<dyn Member>>,
    max_batch: usize,
) {
    while let Some(job) = jobs.blocking_recv() {
        let mut batch = vec![job];
        while batch.len() < max_batch
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        let committed = commit(conn, &mut batch);
        roll_back(conn);
        for member in batch {
            member.answer(&committed);
        }
        checkpoints.after_commit(conn);
    }
}

fn commit(conn: &Connection, batch: &mut [Box<dyn Member>]) -> Result<()> {
    if let Attempt::Failed = attempt(conn, batch, Undo::All)? {
        roll_back(conn);
        attempt(conn, batch, Undo::Each)?;
    }
    Ok(())
}

/// What is undone with a member that fails.
///
/// For a savepoint SQLite keeps each page that changes in it as it was before,
/// again for every member. It is cheaper to do all of them anew when one fails,
/// which is rare.
#[derive(Clone, Copy, PartialEq)]
enum Undo {
    All,
    Each,
}

enum Attempt {
    Committed,
    /// By a member's fault, and all is to be undone.
    Failed,
}

fn attempt(conn: &Connection, batch: &mut [Box<dyn Member>], undo: Undo) -> Result<Attempt> {
    // Takes the write lock at once, waiting for other processes up to the busy
    // timeout: nothing that was read in here can move before the COMMIT.
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let mut open = Commit::of(conn);
    for member in batch {
        let (events, entries) = (open.events.len(), open.entries.len());
        if undo == Undo::Each {
            execute(conn, "SAVEPOINT member", [])?;
        }
        if let Err(error) = member.run(&mut open) {
            // A full disk may have made SQLite drop the whole transaction.
            if conn.is_autocommit() {
                return Err(error);
            }
            if undo == Undo::All {
                return Ok(Attempt::Failed);
            }
            open.events.truncate(events);
            open.entries.truncate(entries);
            open.forget();
            execute(conn, "ROLLBACK TO member", [])?;
        }
        if undo == Undo::Each {
            execute(conn, "RELEASE member", [])?;
        }
    }
    open.seal()?;
    conn.execute_batch("COMMIT").map_err(of_commit)?;
    Ok(Attempt::Committed)
}

fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed transaction could not be rolled back");
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".into())
}
