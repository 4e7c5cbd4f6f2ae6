//! Connections: where to, for how long at most, and how many that read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::error::{lost, transient};
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
    pub idle_in_transaction_timeout: Duration,
    /// How long a write is tried again after failures that pass.
    pub retry_for: Duration,
    /// Writes that may share one commit.
    pub max_batch: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            pool_size: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(10),
            max_batch: 256,
        }
    }
}

/// A database, and how it is talked to. Never shows a password.
#[derive(Clone)]
pub struct Target {
    config: Config,
    place: String,
    connect_timeout: Duration,
}

impl Target {
    pub fn parse(url: &str, options: &OpenOptions) -> Result<Self> {
        // What is refused is not repeated: it may hold a password.
        let mut config: Config = url
            .parse()
            .map_err(|_| StoreError::Missing("store.url is no postgres:// URL".into()))?;
        let remote = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        if remote && config.get_ssl_mode() != SslMode::Disable {
            return Err(StoreError::Unavailable(
                "this binary does not speak TLS to PostgreSQL yet, and a server that is reached over the \
                 network is not spoken to without; use a Unix socket: postgres://USER@/DATABASE?host=/FOLDER"
                    .into(),
            ));
        }
        if config.get_hosts().is_empty() {
            return Err(StoreError::Missing(
                "store.url names no host: postgres://USER@/DATABASE?host=/FOLDER".into(),
            ));
        }
        let millis = |timeout: Duration| timeout.as_millis();
        config
            .application_name("stella")
            .ssl_mode(SslMode::Disable)
            .connect_timeout(options.connect_timeout)
            .options(format!(
                "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
                millis(options.statement_timeout),
                millis(options.lock_timeout),
                millis(options.idle_in_transaction_timeout),
            ));
        let hosts: Vec<_> = config.get_hosts().iter().map(named).collect();
        Ok(Self {
            place: format!(
                "database {} at {}",
                config.get_dbname().or(config.get_user()).unwrap_or_default(),
                hosts.join(", ")
            ),
            config,
            connect_timeout: options.connect_timeout,
        })
    }

    /// For people.
    pub fn place(&self) -> &str {
        &self.place
    }
}

fn named(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Conn {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    transient: AtomicBool,
    lost: AtomicBool,
}

/// Filters make statements in many shapes; this many are kept prepared.
const MAX_STATEMENTS: usize = 256;

impl Conn {
    pub(super) async fn open(target: &Target) -> Result<Self> {
        let late = || StoreError::Unavailable(format!("{}: no connection in time", target.place));
        let (client, connection) = tokio::time::timeout(target.connect_timeout, target.config.connect(NoTls))
            .await
            .map_err(|_| late())?
            .map_err(|e| match StoreError::from(e) {
                StoreError::Unavailable(why) | StoreError::Corrupt(why) => {
                    StoreError::Unavailable(format!("{}: {why}", target.place))
                }
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
        })
    }

    pub(super) async fn all(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        let answer = async { self.client.query(&self.prepared(sql).await?, params).await };
        answer.await.map_err(|e| self.noted(e))
    }

    pub(super) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64> {
        let answer = async { self.client.execute(&self.prepared(sql).await?, params).await };
        answer.await.map_err(|e| self.noted(e))
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

    /// Whether it is open and has not failed in a way that ends it.
    pub(super) fn is_sound(&self) -> bool {
        !self.client.is_closed() && !self.lost.load(Ordering::Relaxed)
    }

    /// Whether, since this was asked last, something failed that may pass.
    pub(super) fn failed_in_passing(&self) -> bool {
        self.transient.swap(false, Ordering::Relaxed)
    }

    async fn prepared(&self, sql: &str) -> std::result::Result<Statement, tokio_postgres::Error> {
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
        if lost(error) {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}
