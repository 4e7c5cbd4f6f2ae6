use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::sqlite::schema::{self, MIGRATIONS, Migration};
use crate::{AttestationFilter, AttestationRow, EventStore, StoreError, Upkeep};
use rusqlite::params_from_iter;

fn refused(path: &Path) -> StoreError {
    match SqliteStore::open(path, &OpenOptions::default()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_new_database_is_private_and_whole() {
    let place = place();
    let refusing = OpenOptions {
        create: false,
        ..OpenOptions::default()
    };
    let none = SqliteStore::open(&place.path, &refusing);
    assert!(matches!(none, Err(StoreError::Missing(why)) if why.contains("there is no database")));
    assert!(!place.path.exists());
    // As one that was killed while creating it would have left.
    let litter = file::with_suffix(&place.path, &format!(".{}-0.new", std::process::id()));
    fs::write(&litter, "").unwrap();
    let store = open(&place.path);
    store.probe().await.unwrap();
    store.describe().await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = file::with_suffix(&place.path, suffix);
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    drop(store);
    fs::remove_file(litter).unwrap();
    // Nothing is left of the draft, and closing leaves no log behind.
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
    assert!(SqliteStore::open(&place.path, &refusing).is_ok());
}

#[test]
fn of_many_that_create_it_at_once_all_open_the_same() {
    let place = place();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&place.path))).collect();
        for one in all {
            one.join().unwrap();
        }
    });
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let place = place();
    let path = &place.path;
    for (content, says) in [
        (Vec::new(), "only 0 bytes"),
        (b"SQLite format 3\0".to_vec(), "only 16 bytes"),
        (b"not a database ".repeat(1000), "not a database"),
    ] {
        fs::write(path, &content).unwrap();
        chmod(path, 0o600);
        let error = refused(path);
        assert!(
            matches!(&error, StoreError::Corrupt(why) if why.contains(says) && why.contains("stella 100%?#.db")),
            "{error:?}"
        );
        assert_eq!(fs::read(path).unwrap(), content);
    }
    fs::remove_file(path).unwrap();
    stranger(path).execute_batch("CREATE TABLE t (x)").unwrap();
    chmod(path, 0o600);
    let error = refused(path);
    assert!(
        matches!(&error, StoreError::Schema(why) if why.contains("another program's")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_truncated_database_is_refused() {
    let place = place();
    drop(filled(&place.path).await);
    let whole = fs::metadata(&place.path).unwrap().len();
    for length in [0, 100, 4096, whole / 2, whole - 4096] {
        let file = fs::OpenOptions::new().write(true).open(&place.path).unwrap();
        let kept = fs::read(&place.path).unwrap();
        file.set_len(length).unwrap();
        let error = refused(&place.path);
        assert!(matches!(error, StoreError::Corrupt(_)), "{length}: {error:?}");
        assert_eq!(fs::metadata(&place.path).unwrap().len(), length);
        fs::write(&place.path, kept).unwrap();
    }
    open(&place.path);
}

#[tokio::test]
async fn a_lost_file_is_not_replaced_while_its_log_is_there() {
    let place = place();
    drop(open(&place.path));
    fs::rename(&place.path, file::with_suffix(&place.path, "-wal")).unwrap();
    let error = refused(&place.path);
    assert!(
        matches!(&error, StoreError::Corrupt(why) if why.contains("is missing")),
        "{error:?}"
    );
    assert!(!place.path.exists());
}

#[test]
fn others_may_not_read_it_nor_lead_elsewhere() {
    let place = place();
    drop(open(&place.path));
    for mode in [0o644, 0o660, 0o602] {
        chmod(&place.path, mode);
        let error = refused(&place.path);
        assert!(
            matches!(&error, StoreError::Unavailable(why) if why.contains("chmod 600")),
            "{error:?}"
        );
    }
    chmod(&place.path, 0o600);
    let link = place.folder.path().join("link.db");
    symlink(&place.path, &link).unwrap();
    let dangling = place.folder.path().join("dangling.db");
    symlink(place.folder.path().join("nothing"), &dangling).unwrap();
    for link in [link, dangling] {
        let error = refused(&link);
        assert!(
            matches!(&error, StoreError::Unavailable(why) if why.contains("symbolic link")),
            "{error:?}"
        );
    }
    let error = refused(place.folder.path());
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("not a file")),
        "{error:?}"
    );
    let error = refused(&place.folder.path().join("no/such/folder.db"));
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

#[test]
fn a_read_only_folder_is_an_error() {
    let place = place();
    drop(open(&place.path));
    let folder = place.folder.path();
    chmod(folder, 0o500);
    if fs::write(folder.join("probe"), "").is_ok() {
        println!("skipped: this user writes to read-only folders");
        return;
    }
    for path in [place.path.clone(), folder.join("new.db")] {
        let error = refused(&path);
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    chmod(folder, 0o700);
}

fn newest() -> u32 {
    MIGRATIONS.last().expect("a version").version
}

#[test]
fn an_unknown_schema_version_is_refused() {
    let place = place();
    drop(open(&place.path));
    for version in [0, newest() + 1, 99] {
        let raw = stranger(&place.path);
        raw.execute_batch(&format!("PRAGMA user_version = {version}"))
            .unwrap();
        drop(raw);
        let error = refused(&place.path).to_string();
        assert!(error.contains(&format!("schema version is {version}")), "{error}");
        assert!(
            error.contains(&format!("runs on versions 1 to {}", newest())),
            "{error}"
        );
    }
}

/// The next version, as a release to come would bring it.
#[tokio::test]
async fn an_upgrade_keeps_a_copy() {
    let place = place();
    let fixture = filled(&place.path).await;
    let head = fixture.state.head;
    drop(fixture);
    let next = |sql| {
        let known = MIGRATIONS.iter().map(|m| Migration {
            version: m.version,
            oldest_binary: m.oldest_binary,
            sql: m.sql,
        });
        let more = Migration {
            version: newest() + 1,
            oldest_binary: "0.2.0",
            sql,
        };
        known.chain([more]).collect::<Vec<_>>()
    };
    let conn = attach(&place.path, &OpenOptions::default()).unwrap();
    let broken = next("CREATE TABLE signer.more (x); SELECT no_such_function()");
    assert!(schema::bring_up_to_date(&conn, &place.path, &broken).is_err());
    assert_eq!(schema::version(&conn).unwrap(), newest());
    let sound = next("CREATE TABLE signer.more (x TEXT)");
    schema::bring_up_to_date(&conn, &place.path, &sound).unwrap();
    assert_eq!(schema::version(&conn).unwrap(), newest() + 1);
    drop(conn);
    for suffix in [".bak", ".2.bak"] {
        let copy = file::with_suffix(&place.path, &format!(".v{}{suffix}", newest()));
        let copy = open(&copy);
        assert_eq!(copy.describe().await.unwrap().head, head);
        assert_eq!(copy.events_after(0, 9).await.unwrap().len(), 4);
        assert_eq!(copy.verify().await.unwrap().findings, Vec::<String>::new());
    }
}

/// What is in the database at `from`, as the release that brought this version
/// stored it.
fn write_as(version: usize, from: &Path, path: &Path, attestations: &[AttestationRow]) {
    drop(file::create_private(path).unwrap());
    let conn = attach(path, &OpenOptions::default()).unwrap();
    keep_in_wal(&conn).unwrap();
    schema::initialise(&conn, &MIGRATIONS[..version]).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute("ATTACH ?1 AS now", [file::uri(from)]).unwrap();
    let names = |sql: &str, of: &[&str]| -> Vec<String> {
        let mut statement = conn.prepare(sql).unwrap();
        let names = statement
            .query_map(params_from_iter(of), |row| row.get(0))
            .unwrap();
        names.map(|name| name.unwrap()).collect()
    };
    let tables = "SELECT name FROM signer.sqlite_schema
                  WHERE type = 'table' AND name NOT IN ('meta', 'sqlite_sequence')";
    for table in names(tables, &[]) {
        let columns = names("SELECT name FROM pragma_table_info(?1, 'signer')", &[&table]);
        let columns = columns.join(", ");
        if table != "attestations" {
            let sql = format!("INSERT INTO signer.{table} ({columns}) SELECT {columns} FROM now.{table}");
            conn.execute_batch(&sql).unwrap();
            continue;
        }
        // Each had its payload once more.
        let read = columns.replace("payload,", "?1,");
        let sql =
            format!("INSERT INTO signer.{table} ({columns}) SELECT {read} FROM now.{table} WHERE id = ?2");
        for row in attestations {
            let stored = conn.execute(&sql, (&row.payload, row.id.to_string())).unwrap();
            assert_eq!(stored, 1);
        }
    }
}

#[tokio::test]
async fn what_an_older_release_wrote_is_all_there_after_the_upgrade() {
    for released in 1..MIGRATIONS.len() {
        upgrade_from(released).await;
    }
}

async fn upgrade_from(released: usize) {
    let (place, source) = (place(), place());
    let old = fill(open(&source.path)).await;
    let before = old.store.describe().await.unwrap();
    let events = old.store.events_after(0, 99).await.unwrap();
    let attestations = old.store.list_attestations(everything()).await.unwrap();
    assert_eq!((events.len(), attestations.len()), (4, 2));
    write_as(released, &source.path, &place.path, &attestations);
    drop(old);

    let store: Arc<dyn Store> = Arc::new(open(&place.path));
    let after = store.describe().await.unwrap();
    assert_eq!((after.schema_version, after.head), (newest(), before.head));
    assert_eq!(store.events_after(0, 99).await.unwrap(), events);
    assert_eq!(store.list_attestations(everything()).await.unwrap(), attestations);
    let fixture = conformance::Fixture::new(Arc::clone(&store));
    let proof = fixture.proof(&[2], &[&[1]]).await;
    store.insert_proof(proof.clone()).await.unwrap();
    assert_eq!(store.proof(&proof.address).await.unwrap(), Some(proof));
    assert_eq!(store.refused_pins("serial").await.unwrap(), []);
    assert_eq!(store.unanswered_logins("serial").await.unwrap(), 0);
    assert_eq!(store.verify().await.unwrap().findings, Vec::<String>::new());
    drop((fixture, store));

    // The copy is what was there before, private, and made only once.
    let copy = file::with_suffix(&place.path, &format!(".v{released}.bak"));
    let raw = stranger(&copy);
    let version: u32 = raw
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    let kept: u32 = raw
        .query_row("SELECT count(*) FROM attestations", [], |row| row.get(0))
        .unwrap();
    assert_eq!((version as usize, kept), (released, 2));
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(open(&place.path));
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 2);
}

fn everything() -> AttestationFilter {
    AttestationFilter {
        limit: 99,
        ..AttestationFilter::default()
    }
}
