//! Drills: the real binary under faults, and afterwards the count of what was
//! acknowledged and what of that is gone.

pub mod chance;
mod hands;
pub mod hsm;
pub mod instance;
pub mod kill_postgres;
pub mod kill_sqlite;
pub mod promises;
pub mod store_faults;

use std::fmt;

/// What a drill found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub name: &'static str,
    pub faults: u64,
    pub acknowledged: u64,
    /// Each is one thing that was acknowledged and is not so, or one lie.
    pub lost: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lost in &self.lost {
            writeln!(f, "  lost: {lost}")?;
        }
        write!(
            f,
            "drill {}: {} faults, {} acknowledged, {} lost",
            self.name,
            self.faults,
            self.acknowledged,
            self.lost.len()
        )
    }
}

/// The drill itself could not go on; it says nothing about what was lost.
#[derive(Debug)]
pub struct Stuck(pub String);

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Stuck {
    fn from(e: std::io::Error) -> Self {
        Self(e.to_string())
    }
}

pub type Result<T> = std::result::Result<T, Stuck>;
