//! Why a key ended, and from which moment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The fixed list; anything more goes into the note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokeReason {
    AnnualRotation,
    Superseded,
    Decommissioned,
    AffiliationChanged,
    PolicyViolation,
    KeyLost,
    Unspecified,
    Compromise,
}

impl RevokeReason {
    pub const ALL: [Self; 8] = [
        Self::AnnualRotation,
        Self::Superseded,
        Self::Decommissioned,
        Self::AffiliationChanged,
        Self::PolicyViolation,
        Self::KeyLost,
        Self::Unspecified,
        Self::Compromise,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnnualRotation => "annual-rotation",
            Self::Superseded => "superseded",
            Self::Decommissioned => "decommissioned",
            Self::AffiliationChanged => "affiliation-changed",
            Self::PolicyViolation => "policy-violation",
            Self::KeyLost => "key-lost",
            Self::Unspecified => "unspecified",
            Self::Compromise => "compromise",
        }
    }

    pub const fn is_compromise(self) -> bool {
        matches!(self, Self::Compromise)
    }
}

impl fmt::Display for RevokeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a revocation reason: use one of {list} (--note takes words)", list = reasons())]
pub struct UnknownReason(pub String);

impl FromStr for RevokeReason {
    type Err = UnknownReason;

    fn from_str(s: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .into_iter()
            .find(|r| r.as_str() == s)
            .ok_or_else(|| UnknownReason(s.chars().take(64).collect()))
    }
}

fn reasons() -> String {
    RevokeReason::ALL.map(RevokeReason::as_str).join(", ")
}

/// The end of a key's validity in one anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEnd {
    pub reason: RevokeReason,
    pub effective_at: Timestamp,
    pub recorded_at: Timestamp,
    /// Only for a compromise: since when somebody else may have signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// From which moment on a key's signatures no longer count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    Open,
    /// Half-open: a signature at exactly this moment is already outside.
    Until {
        end: Timestamp,
        why: EndKind,
    },
    /// Compromised, and nobody has said yet since when.
    WindowUnknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    Expired,
    Revoked(RevokeReason),
}

impl KeyEnd {
    pub fn validity(&self) -> Validity {
        if self.reason.is_compromise() && self.compromised_since.is_none() {
            return Validity::WindowUnknown;
        }
        Validity::Until {
            end: self.at_latest(),
            why: EndKind::Revoked(self.reason),
        }
    }

    /// A compromise ends validity where it began, or earlier where the key had
    /// ended already: that somebody stole it gives it no time back, also while
    /// nobody has said since when.
    pub fn at_latest(&self) -> Timestamp {
        self.compromised_since
            .filter(|_| self.reason.is_compromise())
            .map_or(self.effective_at, |since| since.min(self.effective_at))
    }

    /// What holds once `self` was said after `earlier`: of each part the
    /// earlier and the worse, so that no sequence of revocations, a
    /// compromise without its start among them, moves an end later.
    #[must_use]
    pub fn after(self, earlier: &Self) -> Self {
        let compromise = earlier.reason.is_compromise();
        Self {
            reason: if compromise { earlier.reason } else { self.reason },
            effective_at: self.effective_at.min(earlier.effective_at),
            compromised_since: match (earlier.compromised_since, self.compromised_since) {
                (Some(was), Some(is)) => Some(was.min(is)),
                (was, is) => is.or(was),
            },
            ..self
        }
    }

    /// Whether `self` may replace `earlier`: a revocation moves only towards
    /// the earlier and the worse.
    pub fn tightens(&self, earlier: &Self) -> Result<(), Loosening> {
        if earlier.reason.is_compromise() && !self.reason.is_compromise() {
            return Err(Loosening::Milder);
        }
        match (earlier.validity(), self.validity()) {
            (Validity::WindowUnknown, Validity::Until { .. } | Validity::WindowUnknown) => Ok(()),
            (Validity::Until { .. }, Validity::WindowUnknown) if !earlier.reason.is_compromise() => Ok(()),
            (Validity::Until { .. }, Validity::WindowUnknown) => Err(Loosening::WindowWithdrawn),
            (Validity::Until { end: was, .. }, Validity::Until { end: is, .. }) if is <= was => Ok(()),
            _ => Err(Loosening::Later),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loosening {
    #[error("a revocation for compromise cannot be made milder")]
    Milder,
    #[error("a revocation can be moved earlier, never later")]
    Later,
    #[error("the start of a compromise, once stated, can be moved earlier but not taken back")]
    WindowWithdrawn,
}
