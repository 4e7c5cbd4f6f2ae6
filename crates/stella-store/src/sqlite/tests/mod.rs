//! What only this driver has: a file, its guards, its neighbours.
#![allow(clippy::unwrap_used)]

mod durability;
mod files;
mod plans;
mod tampering;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::Store;
use crate::conformance::{self, Fixture};

struct Place {
    folder: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stella 100%?#.db");
    Place { folder, path }
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &OpenOptions::default()).unwrap()
}

/// Four events, two of them with signatures in the ledger after them, and a
/// proof of the two.
async fn filled(path: &Path) -> Fixture {
    let fixture = fill(open(path)).await;
    let proof = fixture.proof(&[2], &[&[1]]).await;
    fixture.store.insert_proof(proof).await.unwrap();
    fixture
}

/// What the first version of the schema had room for.
async fn fill(store: SqliteStore) -> Fixture {
    let store: Arc<dyn Store> = Arc::new(store);
    let fixture = Fixture::with_a_key(Arc::clone(&store)).await;
    for n in 1..=2 {
        store
            .insert_attestation(fixture.signed_attestation(n).into())
            .await
            .unwrap();
    }
    fixture
}

/// A connection of somebody who does not use the driver.
fn stranger(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    conformance::run(async || {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        open(&folder.path().join(format!("{n}.db")))
    })
    .await;
    // What the contract asks for has been run by now.
    let store = open(&folder.path().join("plans.db"));
    plans::nothing_that_grows_is_read_from_end_to_end(&store).await;
}
