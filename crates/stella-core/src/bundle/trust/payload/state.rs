//! Keys, anchors and statements that do not count any more.

use serde::{Deserialize, Serialize};

use super::super::Refused;
use super::{invalid, wire};
use crate::alg::PublicKey;
use crate::digest::Sha256;
use crate::id::{AnchorId, AttestationId, KeyId, ProfileName};
use crate::purl::PurlPattern;
use crate::time::Timestamp;
use crate::trust::anchor::{AnchorKey, AnchorPolicy, AnchorStatus, TrustAnchor};
use crate::trust::key::{Custody, KeyRecord, KeyType, OwnKey, Phase};
use crate::trust::reason::{KeyEnd, RevokeReason};
use crate::trust::state::{Supersession, Withdrawal};

/// Who withdrew a statement stays with the instance.
const UNNAMED: &str = "the instance";

wire! {
    KeyWire {
        key_id: KeyId,
        key_type: KeyType,
        public_key: PublicKey,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created_at: Option<Timestamp>,
        entered_at: Timestamp,
        /// Only of a key that the instance itself signs with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<EndWire>,
    }

    EndWire {
        reason: RevokeReason,
        effective_at: Timestamp,
        recorded_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compromised_since: Option<Timestamp>,
    }

    AnchorWire {
        trust_anchor_id: AnchorId,
        purl_pattern: PurlPattern,
        status: AnchorStatus,
        policy: AnchorPolicy,
        policy_version: String,
        created_at: Timestamp,
        keys: Vec<HeldWire>,
    }

    HeldWire {
        key_id: KeyId,
        added_at: Timestamp,
        recorded_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<EndWire>,
    }

    WithdrawnWire { pae: Sha256, reason: RevokeReason, at: Timestamp }

    SupersededWire { pae: Sha256, successor: AttestationId, at: Timestamp }
}

impl From<&KeyRecord> for KeyWire {
    fn from(key: &KeyRecord) -> Self {
        Self {
            key_id: key.id.clone(),
            key_type: key.key_type,
            public_key: key.public_key.clone(),
            created_at: key.created_at,
            entered_at: key.entered_at,
            profile: key.profile().cloned(),
            end: key.end.as_ref().map(EndWire::from),
        }
    }
}

impl KeyWire {
    /// What is left out concerns signing alone; a key from a bundle signs
    /// nothing, so its own phase is the last one.
    pub(super) fn into_record(self) -> KeyRecord {
        let custody = self.profile.map_or(Custody::External, |profile| {
            Custody::Own(OwnKey {
                profile,
                store: String::new(),
                further_stores: Vec::new(),
                not_after: None,
                phase: Phase::Retired,
            })
        });
        KeyRecord {
            id: self.key_id,
            public_key: self.public_key,
            key_type: self.key_type,
            created_at: self.created_at,
            entered_at: self.entered_at,
            custody,
            end: self.end.map(EndWire::into_end),
            version: 0,
        }
    }
}

impl From<&KeyEnd> for EndWire {
    fn from(end: &KeyEnd) -> Self {
        Self {
            reason: end.reason,
            effective_at: end.effective_at,
            recorded_at: end.recorded_at,
            compromised_since: end.compromised_since,
        }
    }
}

impl EndWire {
    fn into_end(self) -> KeyEnd {
        KeyEnd {
            reason: self.reason,
            effective_at: self.effective_at,
            recorded_at: self.recorded_at,
            compromised_since: self.compromised_since,
            note: None,
        }
    }
}

impl From<&TrustAnchor> for AnchorWire {
    fn from(anchor: &TrustAnchor) -> Self {
        let keys = anchor.keys.iter().map(|held| HeldWire {
            key_id: held.key_id.clone(),
            added_at: held.added_at,
            recorded_at: held.recorded_at,
            expires_at: held.expires_at,
            end: held.end.as_ref().map(EndWire::from),
        });
        Self {
            trust_anchor_id: anchor.id,
            purl_pattern: anchor.pattern.clone(),
            status: anchor.status,
            policy: anchor.policy.clone(),
            policy_version: anchor.policy_version.to_string(),
            created_at: anchor.created_at,
            keys: keys.collect(),
        }
    }
}

impl AnchorWire {
    pub(super) fn into_anchor(self) -> Result<TrustAnchor, Refused> {
        let policy_version = self
            .policy_version
            .parse()
            .map_err(|e| invalid(format!("the trust anchor {}: {e}", self.trust_anchor_id)))?;
        let keys = self.keys.into_iter().map(|held| AnchorKey {
            key_id: held.key_id,
            added_at: held.added_at,
            recorded_at: held.recorded_at,
            expires_at: held.expires_at,
            end: held.end.map(EndWire::into_end),
        });
        Ok(TrustAnchor {
            id: self.trust_anchor_id,
            pattern: self.purl_pattern,
            status: self.status,
            policy: self.policy,
            policy_version,
            created_at: self.created_at,
            keys: keys.collect(),
        })
    }
}

impl From<(&Sha256, &Withdrawal)> for WithdrawnWire {
    fn from((pae, withdrawal): (&Sha256, &Withdrawal)) -> Self {
        Self {
            pae: *pae,
            reason: withdrawal.reason,
            at: withdrawal.at,
        }
    }
}

impl WithdrawnWire {
    pub(super) fn into_withdrawal(self) -> (Sha256, Withdrawal) {
        let withdrawal = Withdrawal {
            reason: self.reason,
            note: None,
            at: self.at,
            actor: UNNAMED.to_owned(),
        };
        (self.pae, withdrawal)
    }
}

impl From<(&Sha256, &Supersession)> for SupersededWire {
    fn from((pae, supersession): (&Sha256, &Supersession)) -> Self {
        Self {
            pae: *pae,
            successor: supersession.successor,
            at: supersession.at,
        }
    }
}

impl SupersededWire {
    pub(super) fn into_supersession(self) -> (Sha256, Supersession) {
        let supersession = Supersession {
            successor: self.successor,
            at: self.at,
        };
        (self.pae, supersession)
    }
}
