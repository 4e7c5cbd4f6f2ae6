#![allow(clippy::unwrap_used)]

use super::*;
use crate::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    conformance::run(async || {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SqliteStore::open(&folder.path().join(format!("{n}.db")), &OpenOptions::default()).unwrap()
    })
    .await;
}
