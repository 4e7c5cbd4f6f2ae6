//! A number on disk that must not be lost or forgotten: two records in one
//! file, written in turn and in place. Changing it needs no room on the disk,
//! and a write that was cut short leaves the record before it.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;

use super::error::LocalError;
use super::folder::Folder;
use crate::entropy::Entropy;

pub(super) struct Tally {
    file: std::fs::File,
    path: PathBuf,
    key: hmac::Key,
    /// By how much one change raises the number at most: what a record that
    /// cannot be read may have said more than the other.
    margin: u64,
}

impl Tally {
    /// A new file, that says zero.
    pub fn create(
        folder: &Folder,
        name: &str,
        key: &[u8; 32],
        entropy: &mut dyn Entropy,
    ) -> Result<(), LocalError> {
        folder.create_file(name, &zero(key), entropy)?;
        Ok(())
    }

    /// As [`Tally::create`], whatever was there.
    pub fn renew(
        folder: &Folder,
        name: &str,
        key: &[u8; 32],
        entropy: &mut dyn Entropy,
    ) -> Result<(), LocalError> {
        folder.replace_file(name, &zero(key), entropy)
    }

    pub fn open(folder: &Folder, name: &str, key: &[u8; 32], margin: u64) -> Result<Self, LocalError> {
        Ok(Self {
            file: folder.open_file(name)?,
            path: folder.file(name),
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            margin,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn read(&self) -> Result<u64, LocalError> {
        Ok(self.newest()?.1)
    }

    /// Durable when it returns. Only under the folder's lock.
    pub fn write(&self, folder: &Folder, value: u64) -> Result<(), LocalError> {
        let (sequence, _) = self.newest()?;
        let next = sequence + 1;
        let written = folder
            .step()
            .and_then(|()| {
                self.file
                    .write_all_at(&record(&self.key, next, value), place(next))
            })
            .and_then(|()| folder.step())
            .and_then(|()| self.file.sync_data());
        written.map_err(|e| LocalError::io("write", &self.path, e))
    }

    /// Sequence and value.
    fn newest(&self) -> Result<(u64, u64), LocalError> {
        let records = [self.record_at(0)?, self.record_at(1)?];
        match records {
            [Some(one), Some(other)] => Ok(one.max(other)),
            // The other was the newer one, or is what a power failure left.
            [Some((sequence, value)), None] | [None, Some((sequence, value))] => {
                Ok((sequence, value.saturating_add(self.margin)))
            }
            [None, None] => Err(LocalError::damaged(&self.path, "neither of its records is whole")),
        }
    }

    fn record_at(&self, number: u64) -> Result<Option<(u64, u64)>, LocalError> {
        let mut bytes = [0; RECORD];
        match self.file.read_exact_at(&mut bytes, place(number)) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(LocalError::io("read", &self.path, e)),
        }
        let (numbers, tag) = bytes.split_at(16);
        if hmac::verify(&self.key, numbers, tag).is_err() {
            return Ok(None);
        }
        let number_at = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&numbers[at..at + 8]);
            u64::from_be_bytes(eight)
        };
        let (sequence, value) = (number_at(0), number_at(8));
        // A record copied to the other place is none.
        Ok((sequence % 2 == number).then_some((sequence, value)))
    }
}

fn zero(key: &[u8; 32]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut bytes = record(&key, 0, 0).to_vec();
    bytes.resize(usize::try_from(PLACE).unwrap_or_default(), 0);
    bytes.extend_from_slice(&record(&key, 1, 0));
    bytes
}

fn record(key: &hmac::Key, sequence: u64, value: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..8].copy_from_slice(&sequence.to_be_bytes());
    bytes[8..16].copy_from_slice(&value.to_be_bytes());
    let tag = hmac::sign(key, &bytes[..16]);
    bytes[16..].copy_from_slice(tag.as_ref());
    bytes
}

/// In blocks of their own, so that one write never touches both.
fn place(number: u64) -> u64 {
    number % 2 * PLACE
}

const PLACE: u64 = 4096;
const RECORD: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    const KEY: [u8; 32] = [7; 32];

    fn tally() -> (tempfile::TempDir, Folder, Tally) {
        let temporary = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("folder");
        let folder = Folder::create(&temporary.path().join("hsm")).expect("folder");
        Tally::create(&folder, "tally", &KEY, &mut SystemEntropy).expect("tally");
        let tally = Tally::open(&folder, "tally", &KEY, 10).expect("tally");
        (temporary, folder, tally)
    }

    #[test]
    fn it_says_what_was_written_last() {
        let (_temporary, folder, tally) = tally();
        assert_eq!(tally.read().expect("zero"), 0);
        for value in [1, 2, 0, 7] {
            tally.write(&folder, value).expect("written");
            let again = Tally::open(&folder, "tally", &KEY, 10).expect("tally");
            assert_eq!(again.read().expect("value"), value);
        }
    }

    #[test]
    fn damage_anywhere_never_makes_it_less() {
        let (_temporary, folder, tally) = tally();
        tally.write(&folder, 5).expect("written");
        tally.write(&folder, 6).expect("written");
        let path = folder.file("tally");
        let good = std::fs::read(&path).expect("file");
        for at in (0..RECORD).chain(4096..4096 + RECORD) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).expect("damage");
            assert!(tally.read().expect("one record is whole") >= 6, "byte {at}");
        }
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).expect("damage");
            match tally.read() {
                Ok(value) => assert!(value >= 6, "{length} bytes"),
                Err(e) => assert!(matches!(e, LocalError::Damaged { .. }) && length < RECORD),
            }
        }
    }
}
