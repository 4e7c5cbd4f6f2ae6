//! From the file of a home to a PostgreSQL, with everything.

use std::path::Path;

use stella_keys::software::SealingKey;
use stella_store::postgres::{Copied, PostgresStore};
use stella_store::sqlite::{OpenOptions, SqliteStore};
use stella_store::{StoreError, Upkeep as _, VerifyReport};

use super::{Instance, InstanceError, OpenMode, StoreChoice, bounds, lock, sealing, store};
use crate::config::{self, StoreUrl};
use crate::home::Home;

/// What a move took along.
#[derive(Debug, Clone)]
pub struct Moved {
    pub to: String,
    pub tables: Vec<Copied>,
    pub report: VerifyReport,
    /// Whether the home's configuration says where it is now.
    pub configured: bool,
}

impl Instance {
    /// Copies everything that a home keeps in SQLite to a PostgreSQL that is
    /// set up and empty. Before the first row is copied the old database is
    /// marked, so that no moment has two that could be written; where that
    /// fails for sure, the mark is taken away again.
    pub async fn move_to(
        path: &Path,
        config: Option<&Path>,
        choice: &StoreChoice,
    ) -> Result<Moved, InstanceError> {
        let home = Home::open(path)?;
        let _lock = lock(&home, OpenMode::Server).await?;
        let settings = config::load(&config::Sources::usual(path, config))?;
        let file = match &settings.store.url {
            StoreUrl::Home => home.database(),
            StoreUrl::File(file) => file.clone(),
            StoreUrl::Postgres(_) => {
                let why = format!(
                    "nothing to move: {} keeps everything in PostgreSQL",
                    path.display()
                );
                return Err(InstanceError::NotMoved(why));
            }
        };
        let StoreUrl::Postgres(url) = &choice.url else {
            return Err(InstanceError::NotMoved(format!(
                "{} is no PostgreSQL",
                choice.url
            )));
        };
        let mut options = bounds(&settings.store);
        options.password_file.clone_from(&choice.password_file);
        let to = PostgresStore::open(url, &options).await?;
        let place = url.place();
        let from = open(&file, &place).await?;
        let before = from.verify().await?;
        if let Some(finding) = before.findings.first() {
            return Err(StoreError::Corrupt(finding.clone()).into());
        }
        if home.sealing_key().exists() {
            sealing::claimed(&to, &home, &SealingKey::read(home.path())?).await?;
        }

        let tables = if to.is_in_use().await? {
            // Perhaps by a copy that was cut off after its end.
            Vec::new()
        } else {
            from.leave_for(&place).await?;
            match to.copy_sqlite(&file).await {
                Ok(tables) => tables,
                Err(unknown @ StoreError::Unknown(_)) => return Err(unknown.into()),
                Err(failed) => {
                    from.stay().await?;
                    return Err(failed.into());
                }
            }
        };
        let report = to.verify().await?;
        if report != before {
            let why = match report.findings.first() {
                Some(finding) => finding.clone(),
                None => format!("{place} is in use already, and holds something else than this home"),
            };
            return Err(InstanceError::NotMoved(why));
        }
        from.leave_for(&place).await?;
        let configured = !home.config().exists();
        if configured {
            store::write_choice(&home, choice)?;
        }
        Ok(Moved {
            to: place,
            tables,
            report,
            configured,
        })
    }
}

async fn open(file: &Path, place: &str) -> Result<SqliteStore, InstanceError> {
    let options = OpenOptions {
        create: false,
        leaving_for: Some(place.to_owned()),
        ..OpenOptions::default()
    };
    let file = file.to_owned();
    match tokio::task::spawn_blocking(move || SqliteStore::open(&file, &options)).await {
        Ok(store) => Ok(store?),
        Err(e) => Err(StoreError::Unavailable(e.to_string()).into()),
    }
}
