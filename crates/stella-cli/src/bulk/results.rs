//! The file of results: a line of JSON for the run, then one for each entry in
//! the order of the input, so that it says itself how far the work has come.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::CliError;

pub struct Results {
    path: PathBuf,
    file: BufWriter<File>,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Begun {
    /// Random, so that no two runs are taken for one.
    pub run: String,
    /// Which command.
    pub results: String,
    pub began_at: String,
}

impl Results {
    /// A new file, with its first line durable.
    pub fn begin(path: &Path, begun: &Begun) -> Result<Self, CliError> {
        let opened = OpenOptions::new().write(true).create_new(true).open(path);
        let file = opened.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => CliError::usage(format!("{} is there already", path.display()))
                .next("go on with it: --resume; or name another file"),
            _ => CliError::file(path, &e),
        })?;
        let mut results = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        };
        results.write(&[&json(begun)?, &b"\n"[..]].concat())?;
        results.keep()?;
        Ok(results)
    }

    /// Goes on with a file that [`begin`](Self::begin) made, and hands its
    /// entries to `entry`. The line that was being written when the run was
    /// interrupted is cut off.
    pub fn resume<E: DeserializeOwned>(
        path: &Path,
        what: &str,
        mut entry: impl FnMut(E),
    ) -> Result<(Self, Begun), CliError> {
        let failed = |e: io::Error| CliError::file(path, &e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed)?;
        let mut reader = BufReader::new(&mut file);
        let (mut line, mut whole, mut number) = (Vec::new(), 0_u64, 0_u64);
        let mut begun: Option<Begun> = None;
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            whole += read as u64;
            let foreign = |why: &dyn std::fmt::Display| {
                CliError::usage(format!(
                    "{}: line {number} is not of `{what}`: {why}",
                    path.display()
                ))
                .next("name the file that --results made")
            };
            if begun.is_none() {
                let read: Begun = serde_json::from_slice(&line).map_err(|e| foreign(&e))?;
                if read.results != what {
                    return Err(foreign(&format_args!("it is of `{}`", read.results)));
                }
                begun = Some(read);
            } else {
                entry(serde_json::from_slice(&line).map_err(|e| foreign(&e))?);
            }
        }
        let begun = begun.ok_or_else(|| {
            CliError::usage(format!("{} holds no results to go on with", path.display()))
                .next("begin anew: remove it, and leave --resume out")
        })?;
        file.set_len(whole).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let results = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        };
        Ok((results, begun))
    }

    /// Lines, each with its end.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), CliError> {
        self.file
            .write_all(lines)
            .map_err(|e| CliError::file(&self.path, &e))
    }

    /// To the system: a killed process loses none of it.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.file.flush().map_err(|e| CliError::file(&self.path, &e))
    }

    /// To the disk.
    pub fn keep(&mut self) -> Result<(), CliError> {
        self.flush()?;
        self.file
            .get_ref()
            .sync_all()
            .map_err(|e| CliError::file(&self.path, &e))
    }
}

pub fn json(value: &impl Serialize) -> Result<Vec<u8>, CliError> {
    serde_json::to_vec(value)
        .map_err(|e| CliError::failed("cli.output", format!("the answer cannot be written: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(run: &str) -> Begun {
        Begun {
            run: run.to_owned(),
            results: "verify --bundles".to_owned(),
            began_at: "2025-01-01T00:00:00Z".to_owned(),
        }
    }

    fn entries(path: &Path) -> Result<(Vec<u64>, Begun), CliError> {
        let mut seen = Vec::new();
        let (_, begun) = Results::resume(path, "verify --bundles", |n: u64| seen.push(n))?;
        Ok((seen, begun))
    }

    #[test]
    fn what_was_cut_off_is_done_again_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.ndjson");
        let mut results = Results::begin(&path, &begun("one")).expect("begun");
        results.write(b"1\n2\n3").expect("written");
        results.flush().expect("flushed");
        drop(results);
        assert_eq!(entries(&path).expect("resumed"), (vec![1, 2], begun("one")));
        let (mut results, _) = Results::resume(&path, "verify --bundles", |_: u64| {}).expect("resumed");
        results.write(b"4\n").expect("written");
        drop(results);
        assert_eq!(entries(&path).expect("resumed").0, [1, 2, 4]);
        let again = Results::begin(&path, &begun("two")).map(drop);
        assert!(again.is_err_and(|e| e.next.is_some_and(|n| n.contains("--resume"))));
    }

    #[test]
    fn results_of_something_else_are_refused_untouched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("other");
        for text in ["", "half a li", "precious\n", "{\"a\":1}\n"] {
            std::fs::write(&path, text).expect("written");
            assert!(entries(&path).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        }
        let other = Begun {
            results: "attest create".to_owned(),
            ..begun("one")
        };
        std::fs::write(&path, [json(&other).expect("JSON"), b"\n".to_vec()].concat()).expect("written");
        assert!(entries(&path).is_err_and(|e| e.what.contains("`attest create`")));
    }
}
