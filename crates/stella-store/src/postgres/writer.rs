//! One task that writes: whoever waits while a commit is on its way shares
//! the next one.
//!
//! A commit holds one advisory lock from its beginning, on every replica of a
//! database: nothing that it read can move before it ends, and sequence
//! numbers and the hash chain have no gaps.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use stella_core::digest::Sha256;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::conn::{Conn, OpenOptions, Target};
use super::row::{Columns, integer};
use super::together::{self, Insert, Known};
use crate::chain::{CHAIN_START, chain_head};
use crate::{Inserted, NewAttestation, Result, StoreError};

pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// It may be run again, when the commit that it was in failed in passing.
pub(super) type Work<D, T> = for<'a> fn(&'a mut Commit, &'a D) -> Boxed<'a, T>;

pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Member>>,
}

impl Writer {
    pub(super) fn start(target: Target, options: &OpenOptions) -> Self {
        let (queue, jobs) = mpsc::channel(options.max_batch.max(1));
        tokio::spawn(serve(target, jobs, options.max_batch, options.retry_for));
        Self { queue }
    }

    /// Runs `work` inside the next commit and answers once that is durable.
    /// When `work` fails, what it wrote is undone and the others go on.
    pub(super) async fn write<D, T>(&self, data: D, work: Work<D, T>) -> Result<T>
    where
        D: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let (to, answer) = oneshot::channel();
        let member = Box::new(Pending {
            data,
            work,
            outcome: None,
            to,
        });
        self.next_commit(member, answer).await
    }

    /// The same for an attestation, which is stored with others that share its
    /// commit.
    pub(super) async fn insert(&self, new: Arc<NewAttestation>) -> Result<Inserted> {
        let (to, answer) = oneshot::channel();
        self.next_commit(Box::new(Insert::new(new, to)), answer).await
    }

    async fn next_commit<T>(
        &self,
        member: Box<dyn Member>,
        answer: oneshot::Receiver<Result<T>>,
    ) -> Result<T> {
        let stopped = |_| StoreError::Unavailable("the writer has stopped".into());
        self.queue.send(member).await.map_err(stopped)?;
        answer
            .await
            .map_err(|_| StoreError::Unknown("the writer stopped before it answered".into()))?
    }
}

/// The open transaction, and what it adds to the hash chain.
pub(super) struct Commit {
    pub(super) conn: Conn,
    events: Vec<(u64, Sha256)>,
    entries: Vec<(u64, Sha256)>,
}

/// The end of the hash chain before this commit: its number and its hash.
pub(super) type Tail = (u64, Sha256);

/// The end of the hash chain.
pub(super) async fn tail(conn: &Conn) -> Result<Tail> {
    let sql = "SELECT commit_id, head FROM signer.event_chain ORDER BY commit_id DESC LIMIT 1";
    match conn.first(sql, &[]).await? {
        Some(row) => Ok((row.count("commit_id")?, row.digest("head")?)),
        None => Ok((0, CHAIN_START)),
    }
}

impl Commit {
    fn new(conn: Conn) -> Self {
        Self {
            conn,
            events: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(super) fn chain_event(&mut self, sequence: u64, bytes: &[u8]) {
        self.events.push((sequence, Sha256::of(bytes)));
    }

    pub(super) fn chain_ledger_entry(&mut self, entry: u64, bytes: &[u8]) {
        self.entries.push((entry, Sha256::of(bytes)));
    }

    async fn seal(&self) -> Result<()> {
        if self.events.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        self.seal_after(tail(&self.conn).await?).await
    }

    /// The same where it is known what the chain ends with.
    pub(super) async fn seal_after(&self, (last, before): Tail) -> Result<()> {
        if self.events.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        let head = chain_head(
            &before,
            self.events.iter().map(|(_, digest)| digest),
            self.entries.iter().map(|(_, digest)| digest),
        );
        let ends = |rows: &[(u64, Sha256)]| {
            let end = |row: Option<&(u64, Sha256)>| row.map(|(n, _)| integer(*n));
            (end(rows.first()), end(rows.last()))
        };
        let (events, entries) = (ends(&self.events), ends(&self.entries));
        let sql = "INSERT INTO signer.event_chain
                   (commit_id, first_sequence, last_sequence, first_entry, last_entry, head)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let commit = integer(last + 1);
        let head = head.as_bytes().as_slice();
        self.conn
            .execute(
                sql,
                &[&commit, &events.0, &events.1, &entries.0, &entries.1, &head],
            )
            .await?;
        Ok(())
    }

    /// Whatever happened in it is undone.
    async fn roll_back(&mut self) -> Result<()> {
        (self.events, self.entries) = (Vec::new(), Vec::new());
        self.conn.batch("ROLLBACK").await
    }

    async fn abandon(mut self) -> Option<Self> {
        self.roll_back().await.ok()?;
        self.conn.is_worth_keeping().then_some(self)
    }
}

pub(super) trait Member: Send + Sync {
    fn run<'a>(&'a mut self, commit: &'a mut Commit) -> Boxed<'a, ()>;
    fn answer(self: Box<Self>, committed: &Result<()>);

    /// If it is one that can be stored with others of its kind.
    fn as_insert(&mut self) -> Option<&mut Insert> {
        None
    }
}

struct Pending<D, T> {
    data: D,
    work: Work<D, T>,
    outcome: Option<Result<T>>,
    to: oneshot::Sender<Result<T>>,
}

impl<D: Send + Sync, T: Send + Sync> Member for Pending<D, T> {
    fn run<'a>(&'a mut self, commit: &'a mut Commit) -> Boxed<'a, ()> {
        Box::pin(async move {
            let outcome = (self.work)(commit, &self.data).await;
            let verdict = outcome.as_ref().map(|_| ()).map_err(StoreError::again);
            self.outcome = Some(outcome);
            verdict
        })
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        answer(self.outcome, committed, self.to);
    }
}

pub(super) fn answer<T>(outcome: Option<Result<T>>, committed: &Result<()>, to: oneshot::Sender<Result<T>>) {
    let answer = match (committed, outcome) {
        (Err(shared), _) => Err(shared.again()),
        (Ok(()), Some(own)) => own,
        (Ok(()), None) => Err(StoreError::Unavailable("the write was never begun".into())),
    };
    // The caller may have gone away; what it wrote stays.
    let _ = to.send(answer);
}

type Batch = Vec<Box<dyn Member>>;

async fn serve(
    target: Target,
    mut jobs: mpsc::Receiver<Box<dyn Member>>,
    max_batch: usize,
    retry_for: Duration,
) {
    let mut kept = None;
    while let Some(job) = jobs.recv().await {
        let mut batch = vec![job];
        while batch.len() < max_batch
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        // In a task of its own: one caller's bug must not take the writer from
        // all the others. What it left open the server undoes.
        let task = tokio::spawn(write_batch(
            target.clone(),
            kept.take(),
            batch,
            Instant::now() + retry_for,
        ));
        kept = task.await.ok().flatten();
    }
}

async fn write_batch(
    target: Target,
    mut kept: Option<Conn>,
    mut batch: Batch,
    until: Instant,
) -> Option<Conn> {
    let mut pause = FIRST_PAUSE;
    loop {
        let (committed, again) = match connected(&target, kept.take()).await {
            Err(error) => (Err(error), false),
            Ok(conn) => {
                let mut open = Commit::new(conn);
                let committed = commit(&mut open, &mut batch).await;
                let passing = open.conn.failed_in_passing() || !open.conn.is_sound();
                if committed.is_ok() {
                    kept = Some(open.conn);
                } else {
                    kept = open.abandon().await.map(|open| open.conn);
                }
                // What may have taken effect is not done again.
                let known = !matches!(committed, Err(StoreError::Unknown(_)));
                (committed, passing && known)
            }
        };
        if committed.is_err() && again && Instant::now() + pause < until {
            tokio::time::sleep(pause).await;
            pause *= 2;
            continue;
        }
        for member in batch {
            member.answer(&committed);
        }
        return kept;
    }
}

async fn connected(target: &Target, kept: Option<Conn>) -> Result<Conn> {
    match kept.filter(Conn::is_worth_keeping) {
        Some(conn) => Ok(conn),
        None => Conn::open(target).await,
    }
}

async fn commit(open: &mut Commit, batch: &mut Batch) -> Result<()> {
    open.conn.begin_anew();
    let together = insert_together(open, batch).await?;
    if let Together::Nothing = together {
        open.conn.batch(BEGIN).await?;
    }
    let mut mark = "SAVEPOINT member";
    let rest = batch.iter_mut().filter_map(|member| match member.as_insert() {
        Some(_) if !matches!(together, Together::Nothing) => None,
        _ => Some(member),
    });
    for member in rest {
        let (events, entries) = (open.events.len(), open.entries.len());
        open.conn.batch(mark).await?;
        if let Err(error) = member.run(open).await {
            if open.conn.failed_in_passing() || !open.conn.is_sound() {
                return Err(error);
            }
            open.events.truncate(events);
            open.entries.truncate(entries);
            open.conn.batch("ROLLBACK TO member").await?;
        }
        // The one before is settled with the next; the last by the commit.
        mark = "RELEASE member; SAVEPOINT member";
    }
    if !matches!(together, Together::All) {
        open.seal().await?;
    }
    open.conn.commit().await
}

/// What is done of a commit, and that it is open.
enum Together {
    /// It is not begun: each is to be run by itself.
    Nothing,
    Inserts,
    /// There was nothing else, and the chain is sealed.
    All,
}

/// When one of them fails, nothing is done of any.
async fn insert_together(open: &mut Commit, batch: &mut Batch) -> Result<Together> {
    let members = batch.len();
    let mut inserts: Vec<_> = batch.iter_mut().filter_map(|member| member.as_insert()).collect();
    if !together::independent(&inserts) {
        return Ok(Together::Nothing);
    }
    let all = inserts.len() == members;
    // Asked in the same breath: nothing is read before the lock is there.
    let (begun, known) = tokio::join!(
        biased;
        open.conn.batch(BEGIN),
        Known::ask(&open.conn, &inserts),
    );
    begun?;
    let done = match known {
        Ok(known) => together::insert_all(open, &mut inserts, known, all).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) if all => Ok(Together::All),
        Ok(()) => Ok(Together::Inserts),
        Err(error) if open.conn.failed_in_passing() || !open.conn.is_sound() => Err(error),
        Err(_) => {
            open.roll_back().await?;
            Ok(Together::Nothing)
        }
    }
}

/// The lock is asked for before anything is read.
pub(super) const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(6004795)";

const FIRST_PAUSE: Duration = Duration::from_millis(20);
