//! The one source of truth for keys, anchors, withdrawals and the settings
//! that affect verdicts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alg::PublicKey;
use crate::canonical;
use crate::digest::Sha256;
use crate::id::{AnchorId, AttestationId, EventId, KeyId, ProfileName};
use crate::purl::PurlPattern;
use crate::time::Timestamp;
use crate::trust::anchor::AnchorPolicy;
use crate::trust::key::KeyType;
use crate::trust::reason::RevokeReason;

/// One recorded fact. `sequence` is gapless from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub sequence: u64,
    pub id: EventId,
    pub recorded_at: Timestamp,
    /// Who asked for it: `local:uid=1000`, `token:ci-pay`, ...
    pub actor: String,
    pub body: EventBody,
}

/// The documented list of event types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    content = "details",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum EventBody {
    KeyGenerated(KeyEntered),
    KeyImported(KeyEntered),
    KeyActivated {
        key_id: KeyId,
    },
    /// Another key took over; this one goes on verifying and may be taken back.
    KeyRetiring {
        key_id: KeyId,
        until: Timestamp,
        successor: KeyId,
    },
    KeyRetired {
        key_id: KeyId,
    },
    /// The same key material in a further token or KMS, which signs as the key
    /// does.
    KeyStoreAdded {
        key_id: KeyId,
        store: String,
    },
    KeyStoreRemoved {
        key_id: KeyId,
        store: String,
    },
    KeyAdded {
        anchor_id: AnchorId,
        key_id: KeyId,
        added_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// With an anchor: revoked in that anchor. Without: the key as a whole.
    KeyRevoked {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anchor_id: Option<AnchorId>,
        key_id: KeyId,
        reason: RevokeReason,
        effective_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compromised_since: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    AnchorCreated {
        anchor_id: AnchorId,
        purl_pattern: PurlPattern,
        policy: AnchorPolicy,
    },
    AnchorUpdated {
        anchor_id: AnchorId,
        policy: AnchorPolicy,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    AnchorDisabled {
        anchor_id: AnchorId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    AnchorEnabled {
        anchor_id: AnchorId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    ConfigSet {
        key: String,
        value: String,
    },
    ConfigUnset {
        key: String,
    },
    /// Identity is the PAE digest, so that a copy under another row is withdrawn too.
    AttestationWithdrawn {
        pae: Sha256,
        reason: RevokeReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    AttestationSuperseded {
        pae: Sha256,
        successor: AttestationId,
    },
    TokenCreated {
        token_id: String,
        name: String,
        role: String,
    },
    TokenRevoked {
        token_id: String,
    },
    /// A copy of everything, private keys included, went out to these.
    BackupCreated {
        recipients: Vec<String>,
    },
    /// The trust of this moment was signed for offline verifiers. The bundle
    /// bears the number of this event.
    TrustExported {
        expires_at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyEntered {
    pub key_id: KeyId,
    #[serde(rename = "keyType")]
    pub key_type: KeyType,
    pub public_key: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Absent for a key whose private half is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<CustodyEntered>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustodyEntered {
    pub profile: ProfileName,
    pub store: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    #[serde(default)]
    pub standby: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("the event is not valid JSON of a known type")]
    Shape(#[from] serde_json::Error),
    #[error("the event cannot be written in canonical form")]
    Canonical(#[from] canonical::CanonicalError),
}

/// The shape of the stored bytes; field names are those of the runbook's table.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    sequence: u64,
    event_id: EventId,
    timestamp: Timestamp,
    actor: String,
    #[serde(flatten)]
    body: EventBody,
}

impl Event {
    /// RFC 8785 bytes: what the hash chain covers.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EventError> {
        Ok(canonical::of(&Stored {
            sequence: self.sequence,
            event_id: self.id,
            timestamp: self.recorded_at,
            actor: self.actor.clone(),
            body: self.body.clone(),
        })?)
    }

    /// What this build does not know is refused: it could be a restriction.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EventError> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        Ok(Self {
            sequence: stored.sequence,
            id: stored.event_id,
            recorded_at: stored.timestamp,
            actor: stored.actor,
            body: stored.body,
        })
    }
}

impl EventBody {
    /// `KEY_ADDED` and its like, the value of the `event_type` column.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::KeyGenerated(_) => "KEY_GENERATED",
            Self::KeyImported(_) => "KEY_IMPORTED",
            Self::KeyActivated { .. } => "KEY_ACTIVATED",
            Self::KeyRetiring { .. } => "KEY_RETIRING",
            Self::KeyRetired { .. } => "KEY_RETIRED",
            Self::KeyStoreAdded { .. } => "KEY_STORE_ADDED",
            Self::KeyStoreRemoved { .. } => "KEY_STORE_REMOVED",
            Self::KeyAdded { .. } => "KEY_ADDED",
            Self::KeyRevoked { .. } => "KEY_REVOKED",
            Self::AnchorCreated { .. } => "ANCHOR_CREATED",
            Self::AnchorUpdated { .. } => "ANCHOR_UPDATED",
            Self::AnchorDisabled { .. } => "ANCHOR_DISABLED",
            Self::AnchorEnabled { .. } => "ANCHOR_ENABLED",
            Self::ConfigSet { .. } => "CONFIG_SET",
            Self::ConfigUnset { .. } => "CONFIG_UNSET",
            Self::AttestationWithdrawn { .. } => "ATTESTATION_WITHDRAWN",
            Self::AttestationSuperseded { .. } => "ATTESTATION_SUPERSEDED",
            Self::TokenCreated { .. } => "TOKEN_CREATED",
            Self::TokenRevoked { .. } => "TOKEN_REVOKED",
            Self::BackupCreated { .. } => "BACKUP_CREATED",
            Self::TrustExported { .. } => "TRUST_EXPORTED",
        }
    }

    pub fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::KeyGenerated(k) | Self::KeyImported(k) => Some(&k.key_id),
            Self::KeyActivated { key_id }
            | Self::KeyRetiring { key_id, .. }
            | Self::KeyRetired { key_id }
            | Self::KeyStoreAdded { key_id, .. }
            | Self::KeyStoreRemoved { key_id, .. }
            | Self::KeyAdded { key_id, .. }
            | Self::KeyRevoked { key_id, .. } => Some(key_id),
            _ => None,
        }
    }

    pub fn anchor_id(&self) -> Option<AnchorId> {
        match self {
            Self::KeyAdded { anchor_id, .. }
            | Self::AnchorCreated { anchor_id, .. }
            | Self::AnchorUpdated { anchor_id, .. }
            | Self::AnchorDisabled { anchor_id, .. }
            | Self::AnchorEnabled { anchor_id, .. } => Some(*anchor_id),
            Self::KeyRevoked { anchor_id, .. } => *anchor_id,
            _ => None,
        }
    }

    /// The JSON of the `details` column.
    pub fn details(&self) -> Value {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut object)) => object.remove("details").unwrap_or(Value::Null),
            _ => Value::Null,
        }
    }
}
