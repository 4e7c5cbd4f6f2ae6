//! The files of a folder and of those in it, in the order of their names.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Holds the names of one folder at a time, and of those above it.
pub struct Walk {
    /// What is left, the next one last.
    left: Vec<Vec<PathBuf>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// `*.json`: one document.
    Document(PathBuf),
    /// `*.ndjson`, `*.jsonl`: one on each line.
    Lines(PathBuf),
    /// Something else.
    Other(PathBuf),
}

impl Walk {
    pub fn of(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            left: vec![names(folder)?],
        })
    }

    /// Hidden files are passed over; a link to a folder is not followed, for
    /// it may lead back.
    pub fn next(&mut self) -> Result<Option<Found>, (PathBuf, io::Error)> {
        while let Some(names_left) = self.left.last_mut() {
            let Some(path) = names_left.pop() else {
                self.left.pop();
                continue;
            };
            let failed = |e| (path.clone(), e);
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if hidden {
                continue;
            }
            if fs::symlink_metadata(&path).map_err(failed)?.is_dir() {
                self.left.push(names(&path).map_err(failed)?);
                continue;
            }
            if !fs::metadata(&path).map_err(failed)?.is_file() {
                return Ok(Some(Found::Other(path)));
            }
            return Ok(Some(match path.extension().and_then(OsStr::to_str) {
                Some("json") => Found::Document(path),
                Some("ndjson" | "jsonl") => Found::Lines(path),
                _ => Found::Other(path),
            }));
        }
        Ok(None)
    }
}

/// The last one first.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_names_whatever_the_disk_says() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/deep")).expect("made");
        for name in [
            "c.json",
            "a.ndjson",
            "b/2.json",
            "b/deep/x.jsonl",
            "b/1.json",
            ".hidden.json",
            "z.txt",
        ] {
            fs::write(at(name), "").expect("written");
        }
        std::os::unix::fs::symlink(root.path(), at("b/loop")).expect("linked");
        let mut walk = Walk::of(root.path()).expect("read");
        let mut found = Vec::new();
        while let Some(one) = walk.next().expect("walked") {
            found.push(one);
        }
        assert_eq!(
            found,
            [
                Found::Lines(at("a.ndjson")),
                Found::Document(at("b/1.json")),
                Found::Document(at("b/2.json")),
                Found::Lines(at("b/deep/x.jsonl")),
                Found::Other(at("b/loop")),
                Found::Document(at("c.json")),
                Found::Other(at("z.txt")),
            ]
        );
    }
}
