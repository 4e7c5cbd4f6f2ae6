//! What fails on the way to a commit, and what then holds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::conformance::fixture::{attestation, attestation_id};
use crate::{Inserted, StoreError, TokenStore as _, Upkeep as _};

async fn opened(url: &str, options: OpenOptions) -> PostgresStore {
    PostgresStore::open(&url.parse().unwrap(), &options)
        .await
        .unwrap()
}

fn hasty() -> OpenOptions {
    OpenOptions {
        connect_timeout: Duration::from_millis(300),
        lock_timeout: Duration::from_millis(200),
        retry_for: Duration::from_millis(300),
        pool_size: 1,
        ..OpenOptions::default()
    }
}

fn unavailable<T: std::fmt::Debug>(result: crate::Result<T>) -> String {
    match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lock_held_too_long_and_a_busy_pool_are_told_and_pass() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let store = opened(&server.url_as("service", &database), hasty()).await;

    let holder = Conn::open(&target(&server.url(&database))).await.unwrap();
    holder
        .batch("BEGIN; SELECT pg_advisory_xact_lock(6004795)")
        .await
        .unwrap();
    assert!(unavailable(store.probe().await).contains("55P03"));
    holder.batch("ROLLBACK").await.unwrap();
    store.probe().await.unwrap();

    let reader = store.readers.reader().await.unwrap();
    assert!(unavailable(store.tokens().await).contains("every connection that reads is busy"));
    drop(reader);
    store.tokens().await.unwrap();
}

#[tokio::test]
async fn a_read_only_database_is_told_and_left_for_one_that_can_be_written() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let read_only = |word: &str| {
        let sql = format!("ALTER DATABASE {database} SET default_transaction_read_only = {word}");
        server.psql("postgres", "postgres", &sql).unwrap();
    };
    read_only("on");
    let store = opened(&server.url_as("service", &database), hasty()).await;
    assert!(unavailable(store.probe().await).contains("25006"));
    store.tokens().await.unwrap();
    read_only("off");
    store.probe().await.unwrap();
}

/// Fails writes of `signer.meta` as told; what a sequence counted stays.
fn failing(server: &Postgres, database: &str, when: &str) {
    let sql = format!(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION failing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
           $$ BEGIN {when} RETURN NEW; END $$;
         CREATE TRIGGER failing BEFORE INSERT OR UPDATE ON signer.meta
           FOR EACH ROW EXECUTE FUNCTION failing()"
    );
    server.psql(database, "postgres", &sql).unwrap();
}

#[tokio::test]
async fn what_fails_in_passing_is_tried_again_for_a_while() {
    let server = Postgres::start();
    for code in ["40001", "40P01"] {
        let database = prepared(&server).await;
        let fail = |tries: u32| {
            format!(
                "IF nextval('tries') <= {tries} THEN RAISE EXCEPTION 'again' USING ERRCODE = '{code}'; END IF;"
            )
        };
        failing(&server, &database, &fail(3));
        let store = open(&server.url_as("service", &database)).await;
        store.probe().await.unwrap();
        let tries = server.psql(&database, "postgres", "SELECT last_value FROM tries");
        assert_eq!(tries.unwrap(), "4");

        let database = prepared(&server).await;
        failing(&server, &database, &fail(1_000_000));
        let store = opened(&server.url_as("service", &database), hasty()).await;
        assert!(unavailable(store.probe().await).contains(code));
        // Others are none the worse for it.
        Fixture::with_a_key(Arc::new(store)).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_commit_is_made_anew() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let end = "IF nextval('tries') <= 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;";
    failing(&server, &database, end);
    let store = open(&server.url_as("service", &database)).await;
    store.probe().await.unwrap();
    let tries = server.psql(&database, "postgres", "SELECT last_value FROM tries");
    assert_eq!(tries.unwrap(), "2");
}

#[tokio::test]
async fn a_connection_that_ends_costs_no_reader_an_error() {
    let server = Postgres::start();
    let database = prepared(&server).await;
    let store = opened(&server.url_as("service", &database), hasty()).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'service'";
    let ended = || server.psql("postgres", "postgres", end).unwrap();

    // While nobody uses it, and while somebody does.
    store.tokens().await.unwrap();
    ended();
    store.tokens().await.unwrap();
    let asked = || async {
        let reader = store.readers.reader().await.unwrap();
        reader.all("SELECT pg_sleep(1)", &[]).await.map(drop)
    };
    let (answer, count) = tokio::join!(asked(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ended()
    });
    answer.unwrap();
    assert_ne!(count, "0");

    // The one that took its place is kept, and replaced in its turn.
    let backends =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service' AND query LIKE '%pg_sleep%'";
    assert_eq!(server.psql("postgres", "postgres", backends).unwrap(), "1");
    ended();
    store.tokens().await.unwrap();
}

/// Stands between a store and its server until a COMMIT comes by.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// The server never hears of it.
    Commit,
    /// The server does it, and nobody hears of that.
    Answer,
}

async fn between(from: UnixStream, to: UnixStream, cut: Arc<Mutex<Option<Cut>>>) {
    let ((mut client, mut asks), (mut server, mut does)) = (from.into_split(), to.into_split());
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(n @ 1..) = read else { return };
                let commits = asked[..n].windows(6).any(|word| word == b"COMMIT");
                match if commits { cut.lock().unwrap().take() } else { None } {
                    None => does.write_all(&asked[..n]).await.unwrap(),
                    Some(Cut::Commit) => return,
                    Some(Cut::Answer) => {
                        does.write_all(&asked[..n]).await.unwrap();
                        assert_ne!(server.read(&mut answered).await.unwrap(), 0);
                        return;
                    }
                }
            }
            read = server.read(&mut answered) => {
                let Ok(n @ 1..) = read else { return };
                asks.write_all(&answered[..n]).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_commit_of_which_nothing_is_heard_is_unknown_and_not_repeated() {
    let server = Postgres::start();
    for (cut, kept) in [(Cut::Commit, false), (Cut::Answer, true)] {
        let database = prepared(&server).await;
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (to, armed) = (server.socket().join(".s.PGSQL.5432"), Arc::new(Mutex::new(None)));
        let cuts = Arc::clone(&armed);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let to = UnixStream::connect(&to).await.unwrap();
                tokio::spawn(between(from, to, Arc::clone(&cuts)));
            }
        });
        let url = format!("postgres://service@/{database}?host={}", folder.path().display());
        let store: Arc<dyn Store> = Arc::new(opened(&url, OpenOptions::default()).await);
        let fixture = Fixture::with_a_key(Arc::clone(&store)).await;

        *armed.lock().unwrap() = Some(cut);
        let heard = store
            .insert_attestation(fixture.signed_attestation(1).into())
            .await;
        assert!(matches!(heard, Err(StoreError::Unknown(_))), "{heard:?}");
        let found = store.attestation(attestation_id(1)).await.unwrap();
        assert_eq!(found.is_some(), kept);
        let later = store
            .insert_attestation(fixture.signed_attestation(2).into())
            .await;
        assert_eq!(later.unwrap(), Inserted::Done);
        assert_eq!(store.verify().await.unwrap().findings, Vec::<String>::new());
    }
}

#[tokio::test]
async fn text_that_postgresql_cannot_hold_is_refused_alone() {
    let server = Postgres::start();
    let url = server.url_as("service", &prepared(&server).await);
    let store: Arc<dyn Store> = Arc::new(open(&url).await);
    let mut bad = attestation(1);
    bad.requested.identity = "token:a\0b".into();
    let (refused, other) = tokio::join!(
        store.insert_attestation(bad.into()),
        store.insert_attestation(attestation(2).into())
    );
    assert!(
        matches!(&refused, Err(StoreError::Unstorable(why)) if why.contains("U+0000")),
        "{refused:?}"
    );
    assert_eq!(other.unwrap(), Inserted::Done);
    let refused = store.last_attestation_by("token:a\0b").await;
    assert!(matches!(refused, Err(StoreError::Unstorable(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_loses_nothing_that_was_acknowledged() {
    let mut server = Postgres::start();
    let url = server.url_as("service", &prepared(&server).await);
    let store: Arc<dyn Store> = Arc::new(open(&url).await);
    let fixture = Arc::new(Fixture::with_a_key(Arc::clone(&store)).await);
    let (acknowledged, next) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(1)));
    let stop = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (store, fixture) = (Arc::clone(&store), Arc::clone(&fixture));
        let (acknowledged, next, stop) = (Arc::clone(&acknowledged), Arc::clone(&next), Arc::clone(&stop));
        writers.spawn(async move {
            while stop.load(Ordering::Relaxed) == 0 {
                let n = next.fetch_add(1, Ordering::Relaxed);
                match store
                    .insert_attestation(fixture.signed_attestation(n).into())
                    .await
                {
                    Ok(done) => {
                        assert_eq!(done, Inserted::Done);
                        acknowledged.lock().unwrap().push(n);
                    }
                    // Asked at once again, a server that is away fills the log.
                    Err(StoreError::Unavailable(_) | StoreError::Unknown(_)) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    let count = || acknowledged.lock().unwrap().len();
    for _ in 0..3 {
        let before = count();
        let begun = Instant::now();
        while count() < before + 50 {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server = tokio::task::spawn_blocking(move || {
            server.crash();
            server
        })
        .await
        .unwrap();
    }
    let before = count();
    while count() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(1, Ordering::Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    for n in &acknowledged {
        let found = store.attestation(attestation_id(*n)).await.unwrap();
        assert!(
            found.is_some_and(|row| row.signed.is_some()),
            "{n} was acknowledged"
        );
    }
    let report = store.verify().await.unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert!(report.attestations >= acknowledged.len() as u64);
}
