//! What proves when a signature existed.
//!
//! A signature says nothing about its own time. Evidence gives bounds: that
//! it existed *by* a moment, more rarely that it was made *after* one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How independent the witness to a moment is of the signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeClass {
    /// The signer's own word, by whatever way it came. Never counts.
    Claimed,
    /// This server stored the signature then.
    Recorded,
    /// Another operator saw it: a timestamp authority, a witness, another's log.
    Attested,
}

impl fmt::Display for TimeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claimed => "claimed",
            Self::Recorded => "recorded",
            Self::Attested => "attested",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a class of time evidence that counts: use recorded or attested")]
pub struct UnknownTimeClass(String);

/// Reads what may be demanded; `claimed` may not.
impl FromStr for TimeClass {
    type Err = UnknownTimeClass;

    fn from_str(s: &str) -> Result<Self, UnknownTimeClass> {
        match s {
            "recorded" => Ok(Self::Recorded),
            "attested" => Ok(Self::Attested),
            _ => Err(UnknownTimeClass(s.chars().take(64).collect())),
        }
    }
}

/// One piece of evidence about one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeEvidence {
    pub class: TimeClass,
    /// Names an [`Authority`]; ignored for `recorded`.
    pub authority: String,
    pub bound: Bound,
    /// As stated; one second where the authority states none.
    pub accuracy: Option<Duration>,
    /// When this verifier came to hold it, for "as of".
    pub recorded_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    ExistedBy(Timestamp),
    MadeAfter(Timestamp),
}

/// A source of time, who runs it, and while it was to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pub id: String,
    pub operator: String,
    pub valid_from: Timestamp,
    pub valid_until: Option<Timestamp>,
    pub trusted: bool,
}

/// What this server's own record of its signing says about one signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// We made it, then.
    Signed { at: Timestamp },
    /// We hold the ledger, and it is not there.
    Unknown,
    /// No ledger at hand (offline).
    NotConsulted,
}

impl Ledger {
    /// What could be said of it at `moment`: of a signature made later,
    /// nothing.
    #[must_use]
    pub fn known_at(self, moment: Timestamp) -> Self {
        match self {
            Self::Signed { at } if at > moment => Self::NotConsulted,
            known => known,
        }
    }
}
