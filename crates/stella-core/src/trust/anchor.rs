//! A trust anchor: which keys may speak about which packages, and what for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::evidence::TimeClass;
use crate::id::{AnchorId, KeyId};
use crate::predicate::PredicateType;
use crate::purl::PurlPattern;
use crate::time::Timestamp;
use crate::trust::reason::{EndKind, KeyEnd, Validity};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    pub id: AnchorId,
    pub pattern: PurlPattern,
    pub status: AnchorStatus,
    pub policy: AnchorPolicy,
    pub policy_version: PolicyVersion,
    pub created_at: Timestamp,
    /// Every key this anchor ever held, in the order they came.
    pub keys: Vec<AnchorKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorStatus {
    Active,
    /// Still decides, and fails what it decides.
    Disabled,
}

impl fmt::Display for AnchorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        })
    }
}

/// What an anchor asks beyond a valid signature by one of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AnchorPolicy {
    /// `None` allows all, an empty list none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_predicate_types: Option<BTreeSet<PredicateType>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub required_predicate_types: BTreeSet<PredicateType>,
    /// How many distinct public keys must have signed.
    pub threshold: u32,
    /// The weakest class of time evidence that counts.
    pub min_time_evidence: TimeClass,
    /// How many distinct operators must attest a time before it counts.
    pub time_operators: u32,
    /// A class of evidence without which nothing passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_evidence: Option<TimeClass>,
    pub require_ledger: bool,
}

impl Default for AnchorPolicy {
    fn default() -> Self {
        Self {
            allowed_predicate_types: None,
            required_predicate_types: BTreeSet::new(),
            threshold: 1,
            min_time_evidence: TimeClass::Recorded,
            time_operators: 1,
            require_evidence: None,
            require_ledger: false,
        }
    }
}

impl AnchorPolicy {
    pub fn allows(&self, predicate_type: &PredicateType) -> bool {
        self.allowed_predicate_types
            .as_ref()
            .is_none_or(|allowed| allowed.contains(predicate_type))
    }
}

/// One key's time in one anchor. Never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorKey {
    pub key_id: KeyId,
    pub added_at: Timestamp,
    pub recorded_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub end: Option<KeyEnd>,
}

impl AnchorKey {
    /// Where the key's word ends: the earlier of its expiry and its revocation.
    pub fn validity(&self) -> Validity {
        if self.end.as_ref().map(KeyEnd::validity) == Some(Validity::WindowUnknown) {
            return Validity::WindowUnknown;
        }
        self.ends_by()
            .map_or(Validity::Open, |(end, why)| Validity::Until { end, why })
    }

    /// The latest moment at which its word may end; where the start of a
    /// compromise is unknown, it may turn out to be an earlier one.
    pub fn ends_by(&self) -> Option<(Timestamp, EndKind)> {
        let revoked = self
            .end
            .as_ref()
            .map(|end| (end.at_latest(), EndKind::Revoked(end.reason)));
        let expired = self.expires_at.map(|at| (at, EndKind::Expired));
        revoked.into_iter().chain(expired).min_by_key(|(at, _)| *at)
    }

    /// Accepted for what is signed at this moment.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.added_at <= now
            && match self.validity() {
                Validity::Open => true,
                Validity::Until { end, .. } => now < end,
                Validity::WindowUnknown => false,
            }
    }
}

impl TrustAnchor {
    pub fn key(&self, id: &KeyId) -> Option<&AnchorKey> {
        self.keys.iter().find(|k| k.key_id == *id)
    }

    pub fn key_mut(&mut self, id: &KeyId) -> Option<&mut AnchorKey> {
        self.keys.iter_mut().find(|k| k.key_id == *id)
    }

    /// In the anchor and not revoked there, whatever the moment.
    pub fn holds(&self, id: &KeyId) -> bool {
        self.key(id).is_some_and(|k| k.end.is_none())
    }
}

/// `v2.3.1`; every change of the anchor raises the last number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl PolicyVersion {
    pub const FIRST: Self = Self {
        major: 1,
        minor: 0,
        patch: 0,
    };

    pub fn raise(&mut self) {
        self.patch = self.patch.saturating_add(1);
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for PolicyVersion {
    type Err = NotAPolicyVersion;

    fn from_str(s: &str) -> Result<Self, NotAPolicyVersion> {
        let mut numbers = s
            .strip_prefix('v')
            .ok_or(NotAPolicyVersion)?
            .split('.')
            .map(|n| n.parse::<u32>().map_err(|_| NotAPolicyVersion));
        let mut number = || numbers.next().ok_or(NotAPolicyVersion)?;
        let version = Self {
            major: number()?,
            minor: number()?,
            patch: number()?,
        };
        // One text for one version: no further part, no leading zero or sign.
        if version.to_string() == s {
            Ok(version)
        } else {
            Err(NotAPolicyVersion)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a policy version such as v1.0.3")]
pub struct NotAPolicyVersion;

impl fmt::Debug for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_versions_are_written_as_they_are_called() {
        let states = [AnchorStatus::Active, AnchorStatus::Disabled].map(|s| s.to_string());
        assert_eq!(states, ["active", "disabled"]);
        let mut version = PolicyVersion::FIRST;
        let first = version.to_string();
        version.raise();
        assert_eq!(
            (first.as_str(), format!("{version:?}").as_str()),
            ("v1.0.0", "v1.0.1")
        );
        assert_eq!(format!("{version}").parse(), Ok(version));
        for other in [
            "1.0.1", "v1.0", "v1.0.1.0", "v1.0.1.", "v01.0.1", "v1.0.+1", "v1.0.-1", "",
        ] {
            assert_eq!(other.parse::<PolicyVersion>(), Err(NotAPolicyVersion), "{other}");
        }
    }
}
