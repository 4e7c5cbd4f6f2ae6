use std::process::Command;
use std::time::Duration;

use super::*;
use crate::conformance::fixture::{at, attestation, entered, events, setting};
use crate::{
    Append, Appended, AttestationStore, EventStore, LogRow, LogStore, StoreError, TokenStore, Upkeep,
};
use stella_core::trust::TrustState;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let place = place();
    let fixture = filled(&place.path).await;
    let before = fixture.store.verify().await.unwrap();
    let log = fixture.store.events_after(0, 99).await.unwrap();
    drop(fixture);
    let store = open(&place.path);
    assert_eq!(store.verify().await.unwrap(), before);
    assert_eq!(store.events_after(0, 99).await.unwrap(), log);
    assert!(store.tokens().await.unwrap().is_empty());
}

/// Two instances stand for two processes: they share nothing but the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_on_one_file_append_without_loss() {
    let place = place();
    let stores = [Arc::new(open(&place.path)), Arc::new(open(&place.path))];
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = Arc::clone(&stores[n % 2]);
            tokio::spawn(async move {
                loop {
                    let log = store.events_after(0, usize::MAX).await.unwrap();
                    let mut state = TrustState::fold(&log).unwrap();
                    let head = state.head;
                    let new = events(head, vec![entered(&format!("key-{n}"))]);
                    state.apply(&new[0]).unwrap();
                    let done = store.append(Append::new(head, new, Arc::new(state)), vec![], vec![]);
                    if done.await.unwrap() == Appended::Done {
                        return;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let report = stores[0].verify().await.unwrap();
    assert_eq!((report.events, report.findings), (40, vec![]));
    assert_eq!(stores[1].describe().await.unwrap().head, 40);
}

#[tokio::test]
async fn a_full_disk_writes_nothing_by_halves() {
    let place = place();
    drop(filled(&place.path).await);
    let pages: u32 = stranger(&place.path)
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    let options = OpenOptions {
        max_pages: Some(pages + 8),
        ..OpenOptions::default()
    };
    let store = SqliteStore::open(&place.path, &options).unwrap();
    let mut n = 10;
    let error = loop {
        let mut new = attestation(n);
        new.requested.authority = Arc::new("x".repeat(9_000).into());
        if let Err(error) = store.insert_attestation(new.into()).await {
            break error;
        }
        n += 1;
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(store.attestation(attestation(n).id).await.unwrap(), None);
    let report = store.verify().await.unwrap();
    assert_eq!((report.attestations, report.findings), (n - 8, vec![]));
    drop(store);
    // With room again, it goes on.
    let store = open(&place.path);
    store.insert_attestation(attestation(n).into()).await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_is_unavailable() {
    let place = place();
    let options = OpenOptions {
        busy_timeout: Duration::from_millis(50),
        ..OpenOptions::default()
    };
    let store = SqliteStore::open(&place.path, &options).unwrap();
    let raw = stranger(&place.path);
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.probe().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(store.describe().await.unwrap().head, 0);
    raw.execute_batch("ROLLBACK").unwrap();
    store.probe().await.unwrap();
}

/// Queued at once, so that they share commits: the bad one fails alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_member_fails_alone() {
    let place = place();
    let store = Arc::new(open(&place.path));
    let tasks: Vec<_> = (0..200_u64)
        .map(|n| {
            let store = Arc::clone(&store);
            // Every tenth repeats the id of the first.
            let new = attestation(if n % 10 == 0 { 0 } else { n });
            tokio::spawn(async move { store.insert_attestation(new.into()).await.is_ok() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += u64::from(task.await.unwrap());
    }
    let report = store.verify().await.unwrap();
    assert_eq!((stored, report.attestations), (181, 181));
    assert_eq!(report.findings, Vec::<String>::new());
}

/// However much is written, and whoever reads meanwhile, the log begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_written_back_while_others_write_and_read() {
    let place = place();
    let options = OpenOptions {
        checkpoint_pages: 16,
        ..OpenOptions::default()
    };
    let store = Arc::new(SqliteStore::open(&place.path, &options).unwrap());
    let mut largest = 0;
    for round in 0..40_u64 {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..20 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                let new = attestation(round * 20 + n);
                let id = new.id;
                store.insert_attestation(new.into()).await.unwrap();
                store.attestation(id).await.unwrap().unwrap();
            });
        }
        tasks.join_all().await;
        largest = largest.max(
            std::fs::metadata(file::with_suffix(&place.path, "-wal"))
                .unwrap()
                .len(),
        );
    }
    let database = std::fs::metadata(&place.path).unwrap().len();
    // All of it would be several times as much, each page often. On a machine
    // that is busy with other things a reader may be in the way for a while.
    assert!(largest < 1 << 22, "{largest}");
    assert!(database > 1 << 20, "{database}");
    assert_eq!(store.verify().await.unwrap().findings, Vec::<String>::new());
}

#[tokio::test]
async fn dropping_the_caller_does_not_stop_the_writer() {
    let place = place();
    let store = open(&place.path);
    let lines = |n: u64| {
        vec![LogRow {
            at: at(n),
            level: "info".into(),
            component: "test".into(),
            message: "line".into(),
            fields: serde_json::Value::Null,
        }]
    };
    for n in 0..20 {
        let _ = tokio::time::timeout(Duration::ZERO, store.log(lines(n))).await;
    }
    store.log(lines(20)).await.unwrap();
    let state = Arc::default();
    let done = store.append(Append::new(0, events(0, vec![setting(1)]), state), vec![], vec![]);
    assert_eq!(done.await.unwrap(), Appended::Done);
}

/// The runbook's own words, in the shell that an operator has.
#[tokio::test]
async fn the_runbooks_query_runs_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stella.db");
    drop(filled(&path).await);
    let attach = format!("ATTACH '{}' AS signer", path.display());
    let query = "SELECT * FROM signer.key_audit_log
                 WHERE event_type LIKE 'KEY_%'
                   AND timestamp >= '2025-01-01'
                 ORDER BY timestamp DESC;";
    let shell = Command::new("sqlite3")
        .args(["-cmd", &attach, ":memory:", query])
        .output();
    let Ok(answer) = shell else {
        println!("skipped: there is no sqlite3 shell");
        return;
    };
    let (out, err) = (
        String::from_utf8_lossy(&answer.stdout),
        String::from_utf8_lossy(&answer.stderr),
    );
    assert!(answer.status.success(), "{err}");
    let types: Vec<_> = out.lines().filter_map(|line| line.split('|').nth(2)).collect();
    assert_eq!(types, ["KEY_ADDED", "KEY_ACTIVATED", "KEY_GENERATED"], "{out}");
    assert!(out.contains("|2025-01-01T00:00:04.000000Z|"), "{out}");
}

const KILLED_PATH: &str = "STELLA_STORE_TEST_KILLED_PATH";

/// What the killed process runs: it says what was acknowledged, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of killed_processes_lose_nothing_acknowledged"]
async fn killed_process() {
    let Some(path) = std::env::var_os(KILLED_PATH) else {
        println!("skipped: {KILLED_PATH} is not set");
        return;
    };
    let store = Arc::new(open(Path::new(&path)));
    let present = store.verify().await.unwrap().attestations;
    let tasks: Vec<_> = (0..8_u64)
        .map(|lane| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in (present * 8 + lane..).step_by(8) {
                    if store.insert_attestation(attestation(n).into()).await.is_ok() {
                        println!("acknowledged {n} .");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn killed_processes_lose_nothing_acknowledged() {
    let place = place();
    let mut acknowledged = std::collections::BTreeSet::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::tests::durability::killed_process"])
            .args(["--ignored", "--nocapture"])
            .env(KILLED_PATH, &place.path)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        child.kill().unwrap();
        let out = child.wait_with_output().unwrap().stdout;
        let out = String::from_utf8_lossy(&out).into_owned();
        acknowledged.extend(out.lines().filter_map(|line| {
            let number = line.split_once("acknowledged ")?.1.strip_suffix(" .")?;
            number.parse::<u64>().ok()
        }));
    }
    let store = open(&place.path);
    for n in &acknowledged {
        let found = store.attestation(attestation(*n).id).await.unwrap();
        assert!(found.is_some(), "{n} was acknowledged");
    }
    assert!(!acknowledged.is_empty());
    let report = store.verify().await.unwrap();
    assert!(report.attestations >= acknowledged.len() as u64);
    assert_eq!(report.findings, Vec::<String>::new());
    println!("{} acknowledged, all there", acknowledged.len());
}
