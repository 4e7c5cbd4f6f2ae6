//! Where the entries come from, in an order that is the same each time.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stella_core::json::JsonLimits;

use crate::bulk::{self, Block, Found, Lines, Walk};
use crate::error::CliError;

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The file's name below the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where the next line begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}"),
            (Some(file), None) => f.write_str(file),
            (None, Some(line)) => write!(f, "line {line}"),
            (None, None) => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub place: Place,
    pub bytes: Vec<u8>,
}

pub struct Source {
    from: From,
    /// Of the lines that are being read.
    open: Option<Open>,
    /// Files that hold no entries.
    pub left_out: u64,
}

enum From {
    Lines,
    Folder { root: PathBuf, walk: Walk },
}

struct Open {
    file: Option<String>,
    path: PathBuf,
    lines: Lines<Box<dyn Read + Send>>,
    block: Vec<Entry>,
}

impl Source {
    /// After `last`, where an earlier run ended.
    pub fn lines(path: &Path, last: Option<&Place>) -> Result<(Self, Option<u64>), CliError> {
        let (line, offset) = match last {
            None => (0, 0),
            Some(place) => place
                .line
                .zip(place.next_offset)
                .ok_or_else(|| bulk::other_input(path))?,
        };
        let (input, size) = bulk::open(path, offset)?;
        let source = Self {
            from: From::Lines,
            open: Some(Open::over(None, path, input, line, offset)),
            left_out: 0,
        };
        Ok((source, size))
    }

    pub fn folder(root: &Path, last: Option<&Place>) -> Result<Self, CliError> {
        let walk = Walk::of(root).map_err(|e| CliError::file(root, &e))?;
        let mut source = Self {
            from: From::Folder {
                root: root.to_owned(),
                walk,
            },
            open: None,
            left_out: 0,
        };
        if let Some(last) = last {
            source.skip_to(last, root)?;
        }
        Ok(source)
    }

    fn skip_to(&mut self, last: &Place, root: &Path) -> Result<(), CliError> {
        while let Some(entry) = self.next()? {
            if entry.place == *last {
                return Ok(());
            }
        }
        Err(bulk::other_input(root).because(format!("{last}, with which they end, is not there")))
    }

    pub fn next(&mut self) -> Result<Option<Entry>, CliError> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(entry) = open.next()? {
                    return Ok(Some(entry));
                }
                self.open = None;
            }
            let From::Folder { root, walk } = &mut self.from else {
                return Ok(None);
            };
            let found = walk.next().map_err(|(path, e)| CliError::file(&path, &e))?;
            match found {
                None => return Ok(None),
                Some(Found::Other(_)) => self.left_out += 1,
                Some(Found::Document(path)) => {
                    let place = Place {
                        file: Some(below(root, &path)),
                        line: None,
                        next_offset: None,
                    };
                    let bytes = read_bounded(&path)?;
                    return Ok(Some(Entry { place, bytes }));
                }
                Some(Found::Lines(path)) => {
                    let (input, _) = bulk::open(&path, 0)?;
                    let name = below(root, &path);
                    self.open = Some(Open::over(Some(name), &path, input, 0, 0));
                }
            }
        }
    }
}

impl Open {
    fn over(file: Option<String>, path: &Path, input: Box<dyn Read + Send>, line: u64, offset: u64) -> Self {
        Self {
            file,
            path: path.to_owned(),
            lines: Lines::new(input, JsonLimits::default().max_bytes, line, offset),
            block: Vec::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Entry>, CliError> {
        loop {
            if let Some(entry) = self.block.pop() {
                return Ok(Some(entry));
            }
            let block = self.lines.next_block(Vec::new());
            let Some(block) = block.map_err(|e| CliError::file(&self.path, &e))? else {
                return Ok(None);
            };
            self.block = self.entries(&block);
            self.block.reverse();
        }
    }

    fn entries(&self, block: &Block) -> Vec<Entry> {
        let entry = |line: bulk::Line<'_>| Entry {
            place: Place {
                file: self.file.clone(),
                line: Some(line.number),
                next_offset: Some(line.end),
            },
            bytes: line.bytes.to_vec(),
        };
        block.lines().map(entry).collect()
    }
}

fn below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.to_string_lossy().into_owned()
}

/// Of a file too large no more than shows that it is.
fn read_bounded(path: &Path) -> Result<Vec<u8>, CliError> {
    let most = JsonLimits::default().max_bytes as u64;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|e| CliError::file(path, &e))?;
    Ok(bytes)
}
