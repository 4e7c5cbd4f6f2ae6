//! Setting up a PostgreSQL for servers, and how it stands to this release.

use std::path::Path;

use stella_store::postgres::{self, PostgresUrl, Target};

pub use stella_store::postgres::{Pending, SchemaState};

use crate::config::{self, Settings, StoreUrl};
use crate::instance::{InstanceError, StoreChoice, bounds};

/// The database that a person looks after.
pub enum Database {
    /// It looks after itself whenever it is opened.
    Sqlite,
    Postgres(Box<Maintenance>),
}

pub struct Maintenance {
    target: Target,
    /// The role that servers run as, which migrating lets in.
    service: Option<String>,
}

impl Database {
    /// The one that `owner` says how to reach as its owner, else the one of
    /// the configuration. Where these are two roles, servers run as the latter.
    pub fn find(
        home: &Path,
        config: Option<&Path>,
        owner: Option<StoreChoice>,
        service: Option<String>,
    ) -> Result<Self, InstanceError> {
        let settings = config::load(&config::Sources::usual(home, config))?;
        let mut options = bounds(&settings.store);
        let url = match owner {
            Some(owner) => {
                options.password_file = owner.password_file;
                owner.url
            }
            None => settings.store.url.clone(),
        };
        let StoreUrl::Postgres(url) = url else {
            return Ok(Self::Sqlite);
        };
        Ok(Self::Postgres(Box::new(Maintenance {
            target: Target::new(&url, &options)?,
            service: service.or_else(|| of_the_servers(&settings, &url)),
        })))
    }
}

impl Maintenance {
    pub async fn state(&self) -> Result<SchemaState, InstanceError> {
        Ok(postgres::schema_state(&self.target).await?)
    }

    /// Answers the versions that this added.
    pub async fn migrate(&self) -> Result<Vec<u32>, InstanceError> {
        Ok(postgres::migrate(&self.target, self.service()).await?)
    }

    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

fn of_the_servers(settings: &Settings, owner: &PostgresUrl) -> Option<String> {
    match &settings.store.url {
        StoreUrl::Postgres(url) if url.database() == owner.database() && url.user() != owner.user() => {
            Some(url.user().to_owned())
        }
        _ => None,
    }
}
