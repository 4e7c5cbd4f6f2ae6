//! What only this driver has: a server, roles, guards, versions.
#![allow(clippy::unwrap_used)]

mod failures;
mod guards;
mod plans;
mod transport;
mod versions;

use std::sync::Arc;

use stella_testkit::postgres::Postgres;

use super::*;
use crate::Store;
use crate::conformance::{self, Fixture};

fn target(url: &str) -> Target {
    Target::new(&url.parse().unwrap(), &OpenOptions::default()).unwrap()
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(&url.parse().unwrap(), &OpenOptions::default())
        .await
        .unwrap()
}

/// A database that is set up, used by the role that a server runs as.
async fn prepared(server: &Postgres) -> String {
    let database = server.database();
    let role = "DO $$ BEGIN CREATE ROLE service LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    server.psql(&database, "postgres", role).unwrap();
    migrate(&target(&server.url(&database)), Some("service"))
        .await
        .unwrap();
    database
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let server = Postgres::start();
    conformance::run(async || open(&server.url_as("service", &prepared(&server).await)).await).await;
    // What the contract asks for has been run by now.
    plans::nothing_that_grows_is_read_from_end_to_end(&server).await;
}
