//! Connections: where to, for how long at most, and how many that read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, Statement};

use super::error::{lost, read_only, transient};
use super::password;
use super::tls::{self, MakeTls};
use super::url::PostgresUrl;
use crate::{Result, StoreError};

/// Bounds on everything that is asked of the server.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections that read at the same time. One more writes.
    pub pool_size: usize,
    /// How long to wait for a connection, new or from the pool.
    pub connect_timeout: Duration,
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
    /// When the server ends a transaction that its client has left alone.
    /// Shorter than what others wait for its locks: a process that is paused
    /// in its commit delays them and refuses nobody.
    pub idle_in_transaction_timeout: Duration,
    /// How long a write is tried again after failures that pass.
    pub retry_for: Duration,
    /// Writes that may share one commit.
    pub max_batch: usize,
    /// A file that holds the password alone; read for each connection.
    pub password_file: Option<PathBuf>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            pool_size: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(10),
            max_batch: 256,
            password_file: None,
        }
    }
}

/// A database, and how it is talked to. Never shows a password.
#[derive(Clone)]
pub struct Target {
    config: Config,
    tls: MakeTls,
    place: String,
    password_file: Option<PathBuf>,
    connect_timeout: Duration,
}

impl Target {
    pub fn new(url: &PostgresUrl, options: &OpenOptions) -> Result<Self> {
        let millis = |timeout: Duration| timeout.as_millis();
        let mut config = url.config.clone();
        config.connect_timeout(options.connect_timeout).options(format!(
            "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} {PLANS}",
            millis(options.statement_timeout),
            millis(options.lock_timeout),
            millis(options.idle_in_transaction_timeout),
        ));
        Ok(Self {
            config,
            tls: MakeTls::new(&url.tls)?,
            place: url.place(),
            password_file: options.password_file.clone(),
            connect_timeout: options.connect_timeout,
        })
    }

    /// For people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// With the password as its file has it now: a new one needs no restart.
    fn config(&self) -> Result<Config> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            config.password(password::read(file)?);
        }
        Ok(config)
    }
}

/// Each statement has an index that it is meant to take. Of a table that grew
/// since it was last looked at PostgreSQL believes that it is small, and reads
/// all of it for each request, as long as the connection lasts. With whole
/// tables as dear as this, the few statements that want one would be compiled
/// first. Plans may rest on values: a kind of event that is rare is found by
/// its index, where one plan for all kinds walks through the log.
pub(super) const PLANS: &str = "-c enable_seqscan=off -c jit=off";

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Conn {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    transient: AtomicBool,
    lost: AtomicBool,
    read_only: AtomicBool,
    /// Who reads what this one cannot any more.
    successor: Option<Successor>,
}

/// A read that was by itself left nothing behind, and can be done again
/// elsewhere: a database that moves to another host costs no reader an error.
struct Successor {
    target: Target,
    conn: OnceCell<Box<Conn>>,
}

impl Successor {
    async fn connected(&self) -> Result<&Conn> {
        let open = || async { Conn::open(&self.target).await.map(Box::new) };
        Ok(self.conn.get_or_try_init(open).await?)
    }
}

/// Filters make statements in many shapes; this many are kept prepared.
const MAX_STATEMENTS: usize = 256;

impl Conn {
    pub(super) async fn open(target: &Target) -> Result<Self> {
        let at = |why: String| StoreError::Unavailable(format!("{}: {why}", target.place));
        let config = target.config()?;
        let connecting = config.connect(target.tls.clone());
        let (client, connection) = tokio::time::timeout(target.connect_timeout, connecting)
            .await
            .map_err(|_| at("no connection in time".to_owned()))?
            .map_err(|e| match StoreError::from(e) {
                StoreError::Unavailable(why) | StoreError::Corrupt(why) => match tls::explained(&why) {
                    Some(meaning) => at(format!("{meaning} ({why})")),
                    None => at(why),
                },
                other => other,
            })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, "a connection to PostgreSQL ended");
            }
        });
        Ok(Self {
            client,
            statements: Mutex::default(),
            transient: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            successor: None,
        })
    }

    /// For reads outside of any transaction, and nothing else.
    pub(super) async fn open_for_reads(target: &Target) -> Result<Self> {
        Ok(Self::open(target).await?.reading(target))
    }

    fn reading(mut self, target: &Target) -> Self {
        self.successor = Some(Successor {
            target: target.clone(),
            conn: OnceCell::new(),
        });
        self
    }

    /// What is left of it that can be used again.
    pub(super) fn remaining(mut self) -> Option<Self> {
        if self.is_sound() {
            return Some(self);
        }
        let Successor { target, conn } = self.successor.take()?;
        let conn = conn.into_inner()?.reading(&target);
        conn.is_sound().then_some(conn)
    }

    pub(super) async fn all(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        let answer = self.query(sql, params).await;
        match &self.successor {
            Some(successor) if answer.is_err() && !self.is_sound() => {
                successor.connected().await?.query(sql, params).await
            }
            _ => answer,
        }
    }

    async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        let statement = self.ready(sql, params).await?;
        let answer = self.client.query(&statement, params).await;
        answer.map_err(|e| self.noted(e))
    }

    pub(super) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64> {
        let statement = self.ready(sql, params).await?;
        let answer = self.client.execute(&statement, params).await;
        answer.map_err(|e| self.noted(e))
    }

    /// For statements that are sent together: whatever has to be asked about
    /// one before it can be sent is known from here on.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement> {
        self.prepared(sql).await.map_err(|e| self.noted(e))
    }

    /// Sent at the first poll, so that several go out in the order in which
    /// they are first polled, and are not waited for one by one.
    pub(super) async fn send(&self, statement: &Statement, params: Params<'_>) -> Result<u64> {
        storable(statement, params)?;
        let answer = self.client.execute(statement, params).await;
        answer.map_err(|e| self.noted(e))
    }

    /// Statements without parameters, as they are.
    pub(super) async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|e| self.noted(e))
    }

    pub(super) async fn commit(&self) -> Result<()> {
        let committed = self.client.batch_execute("COMMIT").await;
        committed.map_err(|e| {
            self.note(&e);
            super::error::of_commit(e)
        })
    }

    /// Whether it is sound, and leads to a server that may be written to.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.is_sound() && !self.read_only.load(Ordering::Relaxed)
    }

    /// Whether it is open and has not failed in a way that ends it.
    pub(super) fn is_sound(&self) -> bool {
        !self.client.is_closed() && !self.lost.load(Ordering::Relaxed)
    }

    /// What failed until now has nothing to do with what follows.
    pub(super) fn begin_anew(&self) {
        self.transient.store(false, Ordering::Relaxed);
    }

    /// Whether since then something failed that may pass.
    pub(super) fn failed_in_passing(&self) -> bool {
        self.transient.load(Ordering::Relaxed)
    }

    /// Prepared, and given nothing that PostgreSQL's text cannot hold.
    async fn ready(&self, sql: &str, params: Params<'_>) -> Result<Statement> {
        let statement = self.prepare(sql).await?;
        storable(&statement, params)?;
        Ok(statement)
    }

    async fn prepared(&self, sql: &str) -> std::result::Result<Statement, tokio_postgres::Error> {
        #[cfg(test)]
        crate::plans::note(sql);
        let kept = self.statements().get(sql).cloned();
        if let Some(statement) = kept {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements();
        if statements.len() < MAX_STATEMENTS {
            statements.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, HashMap<String, Statement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self, error: tokio_postgres::Error) -> StoreError {
        self.note(&error);
        error.into()
    }

    fn note(&self, error: &tokio_postgres::Error) {
        if transient(error) {
            self.transient.store(true, Ordering::Relaxed);
        }
        if read_only(error) {
            self.read_only.store(true, Ordering::Relaxed);
        }
        if lost(error) {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

/// Nothing that PostgreSQL's text cannot hold.
fn storable(statement: &Statement, params: Params<'_>) -> Result<()> {
    for (param, kind) in params.iter().zip(statement.params()) {
        if ![Type::TEXT, Type::TEXT_ARRAY].contains(kind) {
            continue;
        }
        let mut sent = BytesMut::new();
        if param.to_sql_checked(kind, &mut sent).is_err() {
            continue;
        }
        let fits = match *kind {
            Type::TEXT => !sent.contains(&0),
            _ => texts(&sent).all(|text| !text.contains(&0)),
        };
        if !fits {
            return Err(StoreError::Unstorable("text with the character U+0000".into()));
        }
    }
    Ok(())
}

/// Of an array in one dimension, as it is sent: after its head each element's
/// length, -1 for NULL, and the element.
fn texts(mut array: &[u8]) -> impl Iterator<Item = &[u8]> {
    const HEAD: usize = 20;
    array = array.get(HEAD..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, rest) = array.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (text, rest) = rest.split_at_checked(length)?;
        array = rest;
        Some(text)
    })
}
