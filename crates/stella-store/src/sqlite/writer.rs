//! One thread that writes, many callers in one commit.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use stella_core::digest::Sha256;
use tokio::sync::oneshot;

use super::failed;
use crate::{Result, StoreError};

pub struct Writer {
    /// Taken when the writer is dropped: the thread ends with its last job.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Waits until everything sent is written and the database is closed, so that
/// whoever opens the file next does not meet our lock.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a commit adds to the hash chain, in the order it was written.
#[derive(Default)]
pub struct Chain {
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
pub enum Link {
    Event { sequence: u64, bytes: Sha256 },
    Ledger { row: i64, bytes: Sha256 },
}

type Answer = Box<dyn FnOnce(std::result::Result<(), StoreErrorText>) + Send>;
type Job = Box<dyn FnOnce(&Connection, &mut Chain) -> Answer + Send>;

/// An error told to several callers.
#[derive(Clone)]
enum StoreErrorText {
    Unavailable(String),
    Unknown(String),
}

impl Writer {
    pub fn start(connection: Connection, max_batch: usize) -> Self {
        let (jobs, inbox) = channel();
        let thread = thread::spawn(move || write_all(&connection, &inbox, max_batch.max(1)));
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    pub async fn run<T, F>(&self, name: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Chain) -> Result<T> + Send + 'static,
    {
        let (reply, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection, chain| {
            let outcome = member(connection, chain, work);
            Box::new(move |committed| {
                let answer = match (outcome, committed) {
                    (outcome, Ok(())) => outcome,
                    (_, Err(StoreErrorText::Unavailable(why))) => Err(StoreError::Unavailable(why)),
                    (_, Err(StoreErrorText::Unknown(why))) => Err(StoreError::Unknown(why)),
                };
                // The caller may have gone; the commit stands all the same.
                let _ = reply.send(answer);
            })
        });
        let gone = || StoreError::Unknown(format!("the writer ended during {name}"));
        let ended = || StoreError::Unavailable("the writer has ended".to_owned());
        self.jobs
            .as_ref()
            .ok_or_else(ended)?
            .send(job)
            .map_err(|_| ended())?;
        answered.await.map_err(|_| gone())?
    }
}

/// One caller's share of a commit: it fails alone.
fn member<T>(
    connection: &Connection,
    chain: &mut Chain,
    work: impl FnOnce(&Connection, &mut Chain) -> Result<T>,
) -> Result<T> {
    let mark = chain.links.len();
    connection.execute_batch("SAVEPOINT member").map_err(failed)?;
    let outcome = work(connection, chain);
    let settle = if outcome.is_ok() {
        "RELEASE member"
    } else {
        "ROLLBACK TO member; RELEASE member"
    };
    let settled = connection.execute_batch(settle).map_err(failed);
    if outcome.is_err() || settled.is_err() {
        chain.links.truncate(mark);
    }
    settled.and(outcome)
}

fn write_all(connection: &Connection, inbox: &Receiver<Job>, max_batch: usize) {
    while let Ok(first) = inbox.recv() {
        let mut batch = vec![first];
        while batch.len() < max_batch
            && let Ok(next) = inbox.try_recv()
        {
            batch.push(next);
        }
        commit(connection, batch);
    }
}

fn commit(connection: &Connection, batch: Vec<Job>) {
    let mut chain = Chain::default();
    let mut answers = Vec::with_capacity(batch.len());
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let outcome = match begun {
        Err(e) => {
            // Nobody's work has run. Each job still has to be told.
            let why = StoreErrorText::Unavailable(failed(e).to_string());
            answers.extend(
                batch
                    .into_iter()
                    .map(|job| job(&Disconnected::connection(), &mut Chain::default())),
            );
            Err(why)
        }
        Ok(()) => {
            answers.extend(batch.into_iter().map(|job| job(connection, &mut chain)));
            chain.close(connection).and_then(|()| {
                connection
                    .execute_batch("COMMIT")
                    .map_err(|e| match e.sqlite_error_code() {
                        Some(rusqlite::ErrorCode::SystemIoFailure) => StoreErrorText::Unknown(e.to_string()),
                        _ => StoreErrorText::Unavailable(failed(e).to_string()),
                    })
            })
        }
    };
    if outcome.is_err() && !connection.is_autocommit() {
        // Nothing to do if even this fails: the next BEGIN says so.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for answer in answers {
        answer(outcome.clone());
    }
}

/// A connection without any table, on which work can only fail: what is run
/// on it is told that nothing was written.
struct Disconnected;

impl Disconnected {
    fn connection() -> Connection {
        // Opening an in-memory database needs nothing but memory.
        #[allow(clippy::expect_used)]
        Connection::open_in_memory().expect("an in-memory database opens")
    }
}

impl Chain {
    pub fn add(&mut self, link: Link) {
        self.links.push(link);
    }

    /// Writes the one chain row of this commit.
    fn close(&self, connection: &Connection) -> std::result::Result<(), StoreErrorText> {
        if self.links.is_empty() {
            return Ok(());
        }
        let told = |e: rusqlite::Error| StoreErrorText::Unavailable(failed(e).to_string());
        let previous: Option<String> = connection
            .query_row(
                "SELECT head FROM signer.event_chain ORDER BY position DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .map(Some)
            .or_else(|e| {
                if e == rusqlite::Error::QueryReturnedNoRows {
                    Ok(None)
                } else {
                    Err(e)
                }
            })
            .map_err(told)?;
        let head = next_head(previous.as_deref().unwrap_or_default(), &self.links);
        let last_event = self.links.iter().rev().find_map(|l| match l {
            Link::Event { sequence, .. } => i64::try_from(*sequence).ok(),
            Link::Ledger { .. } => None,
        });
        let last_ledger = self.links.iter().rev().find_map(|l| match l {
            Link::Ledger { row, .. } => Some(*row),
            Link::Event { .. } => None,
        });
        let layout: String = self
            .links
            .iter()
            .map(|l| if matches!(l, Link::Event { .. }) { 'e' } else { 'l' })
            .collect();
        connection
            .prepare_cached("INSERT INTO signer.event_chain (last_event, last_ledger, layout, head) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut s| s.execute((last_event, last_ledger, layout, head.to_hex())))
            .map(|_| ())
            .map_err(told)
    }
}

/// head = SHA-256(previous head in hex || for each row: its kind, SHA-256 of its bytes).
pub fn next_head(previous: &str, links: &[Link]) -> Sha256 {
    let mut text = previous.as_bytes().to_vec();
    for link in links {
        let (kind, bytes) = match link {
            Link::Event { bytes, .. } => (b'e', bytes),
            Link::Ledger { bytes, .. } => (b'l', bytes),
        };
        text.push(kind);
        text.extend_from_slice(bytes.as_bytes());
    }
    Sha256::of(&text)
}
