//! What was acknowledged: in memory, and on disk before the next command.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use crate::{Result, Stuck};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// The attestation with this id is signed.
    Signed(String),
    /// A request with this idempotency key became the attestation with this id.
    Acknowledged {
        key: String,
        id: String,
    },
    KeyEntered(String),
    KeyAdded(String),
    KeyRevoked(String),
}

#[derive(Debug)]
pub struct Promises {
    file: Mutex<(File, Vec<Promise>)>,
}

impl Promises {
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            file: Mutex::new((File::create(path)?, Vec::new())),
        })
    }

    pub fn keep(&self, promise: Promise) -> Result<()> {
        let mut kept = self.file.lock().map_err(|e| Stuck(e.to_string()))?;
        writeln!(kept.0, "{promise:?}")?;
        kept.0.sync_data()?;
        kept.1.push(promise);
        Ok(())
    }

    pub fn into_all(self) -> Result<Vec<Promise>> {
        let (_, all) = self.file.into_inner().map_err(|e| Stuck(e.to_string()))?;
        Ok(all)
    }
}
