//! Which schemas a binary runs on, and who changes them.

use super::*;
use crate::StoreError;
use crate::postgres::schema::{MIGRATIONS, Migration, apply};

async fn refusal(url: &str) -> String {
    match PostgresStore::open(&url.parse().unwrap(), &OpenOptions::default()).await {
        Err(StoreError::Schema(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

fn next(oldest_binary: &'static str) -> Vec<Migration> {
    let copied = MIGRATIONS.iter().map(|m| Migration { ..*m });
    let next = Migration {
        version: MIGRATIONS.len() as i32 + 1,
        oldest_binary,
        sql: "CREATE TABLE signer.of_the_next_release ()",
    };
    copied.chain([next]).collect()
}

#[tokio::test]
async fn only_a_migration_changes_the_schema_and_does_it_once() {
    let server = Postgres::start();
    let url = server.url(&server.database());
    assert!(refusal(&url).await.contains("stella db migrate"));

    let to = target(&url);
    let (one, other) = tokio::join!(migrate(&to, None), migrate(&to, None));
    let mut added = [one.unwrap(), other.unwrap()];
    added.sort();
    let all = MIGRATIONS.iter().map(|m| m.version.unsigned_abs()).collect();
    assert_eq!(added, [vec![], all]);
    open(&url).await;
}

#[tokio::test]
async fn a_newer_schema_is_used_only_where_it_names_this_release() {
    let server = Postgres::start();
    for (oldest, usable) in [("0.1.0", true), ("99.0.0", false), ("unreadable", false)] {
        let url = server.url(&prepared(&server).await);
        let conn = Conn::open(&target(&url)).await.unwrap();
        apply(&conn, &next(oldest), None).await.unwrap();
        if usable {
            open(&url).await;
        } else {
            assert!(refusal(&url).await.contains("a newer release upgraded it"));
        }
        assert!(migrate(&target(&url), None).await.is_err(), "{oldest}");
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let url = server.url(&database);
    let mut broken = next("0.1.0");
    broken.last_mut().unwrap().sql = "CREATE TABLE signer.half (); SELECT 1 / 0";
    let conn = Conn::open(&target(&url)).await.unwrap();
    assert!(apply(&conn, &broken, None).await.is_err());
    drop(conn);
    let half = server.psql(&database, "postgres", "SELECT to_regclass('signer.half') IS NULL");
    assert_eq!(half.unwrap(), "t");
    open(&url).await;
}
