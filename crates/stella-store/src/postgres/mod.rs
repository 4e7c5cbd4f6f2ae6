//! The driver for a PostgreSQL that others may share.
//!
//! The schema is changed by [`migrate`] alone, as the owner of the database;
//! a server runs as a role that cannot change what is append-only.

mod attestation_rows;
mod attestations;
mod conditions;
mod conn;
mod copy;
mod error;
mod events;
mod ledger;
mod log;
mod password;
mod pins;
mod projections;
mod proofs;
mod queue;
mod readers;
mod replicas;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod tls;
mod together;
mod tokens;
mod upkeep;
mod url;
mod verdicts;
mod verify;
mod writer;

pub use self::conn::{OpenOptions, Target};
pub use self::copy::Copied;
pub use self::schema::{Pending, SchemaState, migrate, schema_state};
pub use self::url::{BadUrl, PostgresUrl};

use self::conn::Conn;
use self::readers::Readers;
use self::writer::Writer;
use crate::Result;

/// Several of these, in one process or in many, may be open on one database.
pub struct PostgresStore {
    target: Target,
    readers: Readers,
    writer: Writer,
}

impl PostgresStore {
    /// Refuses a database whose schema this binary does not know. Works on
    /// the runtime that it is called on.
    pub async fn open(url: &PostgresUrl, options: &OpenOptions) -> Result<Self> {
        let target = Target::new(url, options)?;
        let conn = Conn::open(&target).await?;
        schema::expect_usable(&conn, schema::MIGRATIONS).await?;
        Ok(Self {
            readers: Readers::new(target.clone(), options),
            writer: Writer::start(target.clone(), options),
            target,
        })
    }
}
