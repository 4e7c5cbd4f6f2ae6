//! Walks the test vectors at the root of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// `vectors/<topic>` of the repository.
pub(crate) fn folder(topic: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(topic)
}

/// What a folder holds, in order; an empty one fails, lest a test pass by
/// walking nothing.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .collect();
    assert!(!found.is_empty(), "{} is empty", folder.display());
    found.sort();
    found
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Walks `vectors/<topic>/<code>/*`: every file must be answered with the code
/// that its folder is called by, and those in `ok` accepted.
pub(crate) fn walk_by_code<T>(topic: &str, judge: impl Fn(&[u8]) -> Result<T, &'static str>) {
    let mut wrong = Vec::new();
    for group in entries(&folder(topic)) {
        let expected = group.file_name().and_then(|n| n.to_str()).expect("a name");
        for file in entries(&group) {
            let answer = judge(&read(&file)).map_or_else(|code| code, |_| "ok");
            if answer != expected {
                wrong.push(format!("{}: {answer}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{topic}, answered otherwise: {wrong:#?}");
}
