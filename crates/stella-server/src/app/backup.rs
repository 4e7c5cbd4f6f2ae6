//! `backup create`: a copy of the whole home, encrypted, while it serves.

use std::io::{self, Write};
use std::sync::Arc;

use stella_core::api::backup::CreateBackup;
use stella_core::trust::EventBody;
use stella_store::LogRow;
use tokio::sync::{Semaphore, mpsc};

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};
use crate::backup::age::{Encryptor, Recipient};
use crate::backup::{self, BackupError, FORMAT, Manifest, Scratch};
use crate::config::StoreUrl;
use crate::home::Home;

/// The encrypted bytes, in order. One that is cut off has no end that a reader
/// would take for one.
pub type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;

/// The home that backups are made of, and that one at a time is made.
pub struct Backups {
    home: Option<Home>,
    turn: Arc<Semaphore>,
}

impl Default for Backups {
    fn default() -> Self {
        Self {
            home: None,
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Backups {
    pub fn of(home: Home) -> Self {
        Self {
            home: Some(home),
            ..Self::default()
        }
    }
}

impl App {
    /// What was acknowledged before this is in it.
    pub async fn create_backup(&self, caller: &Caller, request: CreateBackup) -> Result<Pieces> {
        let recipients = recipients(&request)?;
        let home = self.backups.home.clone().ok_or_else(elsewhere)?;
        let turn = Arc::clone(&self.backups.turn).try_acquire_owned().map_err(|_| {
            Error::conflict("backup.under-way", "another backup is being made")
                .next("repeat the command when that is done")
        })?;
        let names: Vec<String> = recipients.iter().map(ToString::to_string).collect();
        self.change(caller, |_, _| {
            let recipients = names.clone();
            Ok(Decision::new(vec![EventBody::BackupCreated { recipients }], ()))
        })
        .await?;
        let scratch = Scratch::within(home.path(), self.entropy.as_ref()).map_err(failed)?;
        let snapshot = scratch.path().join("stella.db");
        if !self.store.snapshot(&snapshot).await? {
            return Err(elsewhere());
        }
        let (members, notes) = backup::of_home(&home, &self.settings, &snapshot).map_err(failed)?;
        self.note(LogRow {
            at: self.now(),
            level: "warn".to_owned(),
            component: "backup".to_owned(),
            message: format!(
                "a backup of everything went out, encrypted to {}",
                names.join(", ")
            ),
            fields: serde_json::json!({ "by": caller.identity, "recipients": names }),
        })
        .await;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            created_at: self.now().to_string(),
            created_by: caller.identity.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: home.path().display().to_string(),
            database: match &self.settings.store.url {
                StoreUrl::File(path) => Some(path.display().to_string()),
                _ => None,
            },
            members: Vec::new(),
            notes,
        };
        let (to, pieces) = mpsc::channel(IN_FLIGHT);
        let entropy = Arc::clone(&self.entropy);
        tokio::task::spawn_blocking(move || {
            let _until_the_end = (turn, scratch);
            let made = (|| -> std::result::Result<(), BackupError> {
                let mut file = Encryptor::new(Sending::to(to.clone()), &recipients, entropy.as_ref())?;
                backup::write(manifest, members, &mut file)?;
                file.finish()?;
                Ok(())
            })();
            if let Err(e) = made {
                // The other end may have gone away; then nobody is told.
                let _ = to.blocking_send(Err(io::Error::other(e.to_string())));
            }
        });
        Ok(pieces)
    }
}

fn recipients(request: &CreateBackup) -> Result<Vec<Recipient>> {
    if request.recipients.is_empty() {
        return Err(Error::invalid(
            "backup.no-recipient",
            "a backup holds private keys, and nobody was named who can open it",
        )
        .next("stella backup keygen --out backup-identity.txt, and --recipient with what it prints"));
    }
    if request.recipients.len() > MAX_RECIPIENTS {
        return Err(Error::invalid(
            "backup.recipients",
            format!("at most {MAX_RECIPIENTS} recipients"),
        ));
    }
    request
        .recipients
        .iter()
        .map(|text| text.parse::<Recipient>())
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::invalid("backup.recipient", e.to_string()))
}

fn elsewhere() -> Error {
    Error::conflict(
        "backup.elsewhere",
        "everything is kept in PostgreSQL, whose own tools make its backups",
    )
    .next("pg_dump --format custom, and a copy of sealing.key; stella db verify after restoring")
}

fn failed(error: BackupError) -> Error {
    Error::unavailable(error.code(), format!("no backup was made: {error}"))
}

/// Collects what is written into pieces that are worth sending.
struct Sending {
    to: mpsc::Sender<io::Result<Vec<u8>>>,
    waiting: Vec<u8>,
}

impl Sending {
    fn to(to: mpsc::Sender<io::Result<Vec<u8>>>) -> Self {
        Self {
            to,
            waiting: Vec::with_capacity(PIECE),
        }
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.waiting, Vec::with_capacity(PIECE));
        self.to
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

const PIECE: usize = 256 << 10;
const IN_FLIGHT: usize = 8;
const MAX_RECIPIENTS: usize = 100;
