//! One PostgreSQL for all tests of a process, in which each has a database.

use std::path::Path;

use stella_store::postgres::{OpenOptions, PostgresStore, Target, migrate};
use stella_testkit::postgres::Postgres;
use tokio::sync::OnceCell;

/// Lives as long as the process, and ends with it.
static SERVER: OnceCell<Postgres> = OnceCell::const_new();

/// Set up, and copied for each test.
const TEMPLATE: &str = "prepared";

/// As a server does, without the rights of the owner.
const ROLE: &str = "stella";

pub async fn open(home: &Path) -> PostgresStore {
    let server = SERVER.get_or_init(start).await;
    // A home that is opened again finds its own.
    let file = home.join("database");
    let database = std::fs::read_to_string(&file).unwrap_or_else(|_| {
        let made = server.copy_of(TEMPLATE);
        std::fs::write(&file, &made).expect("written");
        made
    });
    let url = server.url_as(ROLE, &database).parse().expect("a URL");
    // Many tests run at once.
    let options = OpenOptions {
        pool_size: 4,
        ..OpenOptions::default()
    };
    PostgresStore::open(&url, &options).await.expect("a store")
}

async fn start() -> Postgres {
    let server = Postgres::start();
    for sql in [
        format!("CREATE ROLE {ROLE} LOGIN"),
        format!("CREATE DATABASE {TEMPLATE}"),
    ] {
        server.psql("postgres", "postgres", &sql).expect("done");
    }
    let url = server.url(TEMPLATE).parse().expect("a URL");
    let target = Target::new(&url, &OpenOptions::default()).expect("a target");
    migrate(&target, Some(ROLE)).await.expect("migrated");
    // Nothing of a template may be connected to; the connection just used may
    // take a moment to go.
    let left = format!("SELECT 1 FROM pg_stat_activity WHERE datname = '{TEMPLATE}'");
    while server.psql("postgres", "postgres", &left) != Ok(String::new()) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server
}
