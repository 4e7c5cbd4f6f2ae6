//! A key as the organisation knows it: its name, its public half, who holds
//! the private half, and where it stands in its life.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alg::PublicKey;
use crate::id::{KeyId, ProfileName};
use crate::time::Timestamp;
use crate::trust::reason::KeyEnd;

/// What a key signs; a verifier accepts exactly one of these for each thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    Signing,
    Log,
    Timestamp,
    Feed,
}

impl KeyType {
    pub const ALL: [Self; 4] = [Self::Signing, Self::Log, Self::Timestamp, Self::Feed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Log => "log",
            Self::Timestamp => "timestamp",
            Self::Feed => "feed",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyId,
    pub public_key: PublicKey,
    pub key_type: KeyType,
    /// Unknown for a foreign key nobody stated it for.
    pub created_at: Option<Timestamp>,
    pub entered_at: Timestamp,
    pub custody: Custody,
    /// Set when the key as a whole was revoked, in every anchor.
    pub end: Option<KeyEnd>,
    /// The sequence number of the last event about this key. A signature is
    /// stored only if it has not moved since the key was chosen.
    pub version: u64,
}

/// Who holds the private half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Custody {
    /// Signs elsewhere; here it only verifies.
    External,
    Own(OwnKey),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    pub profile: ProfileName,
    /// Where it was made, or entered from: the first that is asked.
    pub store: String,
    /// Where the same material is as well, in the order in which they are asked.
    pub further_stores: Vec<String>,
    /// Ends signing, never a verdict.
    pub not_after: Option<Timestamp>,
    pub phase: Phase,
}

/// The recorded part of a life; [`KeyRecord::state`] adds what time alone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Standby,
    Active,
    Retiring { until: Timestamp },
    Retired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    Pending,
    Standby,
    Active,
    Retiring,
    Retired,
    Revoked,
    Compromised,
    External,
}

impl KeyState {
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Standby,
        Self::Active,
        Self::Retiring,
        Self::Retired,
        Self::Revoked,
        Self::Compromised,
        Self::External,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Standby => "standby",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
            Self::Compromised => "compromised",
            Self::External => "external",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl OwnKey {
    /// Every place it signs in, the first of them first.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.store)
            .chain(&self.further_stores)
            .map(String::as_str)
    }
}

impl KeyRecord {
    pub fn state(&self, now: Timestamp) -> KeyState {
        if let Some(end) = &self.end {
            return if end.reason.is_compromise() {
                KeyState::Compromised
            } else {
                KeyState::Revoked
            };
        }
        match &self.custody {
            Custody::External => KeyState::External,
            Custody::Own(own) => match own.phase {
                Phase::Pending => KeyState::Pending,
                Phase::Standby => KeyState::Standby,
                Phase::Active => KeyState::Active,
                Phase::Retiring { until } if now < until => KeyState::Retiring,
                Phase::Retiring { .. } | Phase::Retired => KeyState::Retired,
            },
        }
    }

    pub fn own(&self) -> Option<&OwnKey> {
        match &self.custody {
            Custody::Own(own) => Some(own),
            Custody::External => None,
        }
    }

    /// Every place it signs in; none for a key that signs elsewhere.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        self.own().into_iter().flat_map(OwnKey::stores)
    }

    pub fn profile(&self) -> Option<&ProfileName> {
        self.own().map(|own| &own.profile)
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.own()
            .and_then(|own| own.not_after)
            .is_some_and(|end| end <= now)
    }

    /// An active signing key within its life.
    pub fn may_sign(&self, now: Timestamp) -> bool {
        self.state(now) == KeyState::Active && !self.has_expired(now)
    }

    /// A standby key within its life. Whether it does sign is its profile's
    /// word: see [`TrustState::signing_keys`](crate::trust::TrustState::signing_keys).
    pub fn may_stand_in(&self, now: Timestamp) -> bool {
        self.state(now) == KeyState::Standby && !self.has_expired(now)
    }
}
