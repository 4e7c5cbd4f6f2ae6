//! What only the SQLite driver promises: its file, its guards, its shell.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rusqlite::Connection;
use stella_store::sqlite::{OpenOptions, SqliteStore};
use stella_store::{StoreError, Upkeep as _, conformance};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn create(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(
        path,
        &OpenOptions {
            create: true,
            ..OpenOptions::default()
        },
    )
}

fn reopen(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, &OpenOptions::default())
}

/// A database in which every table has something.
async fn filled(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("stella.db");
    let store = Arc::new(create(&path).expect("created"));
    conformance::fill(&*store).await;
    assert!(store.verify().await.expect("verified").findings.is_empty());
    path
}

fn raw(path: &Path) -> Connection {
    Connection::open(path).expect("the file opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let folder = folder();
    let mut n = 0;
    conformance::run(|| {
        n += 1;
        Arc::new(create(&folder.path().join(format!("{n}.db"))).expect("created"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbooks_query_runs_in_the_shell() {
    let folder = folder();
    let path = filled(&folder).await;
    let attach = format!("ATTACH '{}' AS signer", path.display());
    let query = "SELECT * FROM signer.key_audit_log WHERE event_type LIKE 'KEY_%' AND timestamp >= '2025-01-01' ORDER BY timestamp DESC;";
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000", "-cmd", &attach, ":memory:", query])
        .output()
        .expect("sqlite3 is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("KEY_GENERATED"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_append_only_cannot_be_changed() {
    let folder = folder();
    let path = filled(&folder).await;
    let connection = raw(&path);
    for statement in [
        "UPDATE key_audit_log SET actor = 'x'",
        "DELETE FROM key_audit_log",
        "UPDATE ledger SET signed_at = '2020'",
        "DELETE FROM ledger",
        "DELETE FROM event_chain",
        "UPDATE sealed_keys SET blob = x'00'",
        "UPDATE attestations SET envelope = x'00'",
        "UPDATE attestations SET payload = x'00'",
        "DELETE FROM attestations",
    ] {
        assert!(connection.execute(statement, []).is_err(), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_round_the_guards_is_found_out() {
    for (guard, statement, told) in [
        (
            "audit_no_update",
            "UPDATE key_audit_log SET bytes = CAST(replace(CAST(bytes AS TEXT), 'local:me', 'local:no') AS BLOB)",
            "hash chain",
        ),
        (
            "audit_no_delete",
            "DELETE FROM key_audit_log WHERE sequence = (SELECT max(sequence) FROM key_audit_log)",
            "hash chain",
        ),
        (
            "ledger_no_update",
            "UPDATE ledger SET requested_by = 'local:no'",
            "hash chain",
        ),
        (
            "envelope_fixed",
            "UPDATE attestations SET envelope = x'7b7d'",
            "attestation",
        ),
        (
            "attestation_fixed",
            "DROP TRIGGER envelope_fixed; UPDATE attestations SET payload = x'7b7d'",
            "payload",
        ),
        (
            "audit_no_update",
            "UPDATE signing_keys SET document = '{}'",
            "signing_keys",
        ),
    ] {
        let folder = folder();
        let path = filled(&folder).await;
        raw(&path)
            .execute_batch(&format!("DROP TRIGGER {guard}; {statement}"))
            .expect("tampered");
        let findings = reopen(&path)
            .expect("opens")
            .verify()
            .await
            .expect("verified")
            .findings;
        assert!(
            findings.iter().any(|f| f.contains(told)),
            "{statement}: {findings:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_projection_is_rebuilt() {
    let folder = folder();
    let path = filled(&folder).await;
    raw(&path)
        .execute_batch("UPDATE signing_keys SET document = '{}', version = 99")
        .expect("spoilt");
    let store = reopen(&path).expect("opens");
    store.rebuild_projections().await.expect("rebuilt");
    assert_eq!(
        store.verify().await.expect("verified").findings,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("stella.db");
    assert!(
        matches!(reopen(&path), Err(StoreError::Unavailable(_))),
        "a missing database is not made anew"
    );
    assert!(!path.exists());

    let write = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    };
    write(b"");
    assert!(matches!(reopen(&path), Err(StoreError::Corrupt(_))));
    write(&[0x5a; 8192]);
    assert!(matches!(reopen(&path), Err(StoreError::Corrupt(_))));
    assert_eq!(std::fs::read(&path).expect("still there"), vec![0x5a; 8192]);

    std::fs::remove_file(&path).expect("removed");
    raw(&path)
        .execute_batch("CREATE TABLE other (x)")
        .expect("another database");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    assert!(matches!(reopen(&path), Err(StoreError::Schema(_))));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(matches!(reopen(&path), Err(StoreError::Unavailable(why)) if why.contains("chmod 600")));
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    assert!(matches!(reopen(&link), Err(StoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let folder = folder();
    let path = filled(&folder).await;
    raw(&path).execute_batch("PRAGMA user_version = 99").expect("set");
    let Err(StoreError::Schema(why)) = reopen(&path) else {
        panic!("opened a newer schema")
    };
    assert!(why.contains("99"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = folder();
    let path = folder.path().join("stella.db");
    let store = SqliteStore::open(
        &path,
        &OpenOptions {
            create: true,
            max_pages: Some(60),
            ..OpenOptions::default()
        },
    );
    let store = store.expect("created");
    let written = conformance::fill_until_refused(&store).await;
    assert!(written > 0);
    drop(store);
    let store = reopen(&path).expect("opens with room");
    let report = store.verify().await.expect("verified");
    assert_eq!((report.events, report.findings), (written, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_one_file() {
    let folder = folder();
    let path = folder.path().join("stella.db");
    let first = Arc::new(create(&path).expect("created"));
    let second = Arc::new(reopen(&path).expect("opened beside it"));
    let (a, b) = tokio::join!(
        conformance::append_many(&*first, "a", 20),
        conformance::append_many(&*second, "b", 20)
    );
    assert_eq!(a + b, 40);
    let report = first.verify().await.expect("verified");
    assert_eq!((report.events, report.findings), (40, Vec::new()));
}
