//! The settings and the authorities that affect verdicts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::wire;
use crate::dsse::EnvelopeLimits;
use crate::evidence::Authority;
use crate::id::ProfileName;
use crate::json::JsonLimits;
use crate::statement::StatementLimits;
use crate::time::Timestamp;
use crate::verify::document::DocumentLimits;
use crate::verify::{VerifyLimits, VerifyPolicy};

wire! {
    AuthorityWire {
        id: String,
        operator: String,
        valid_from: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        trusted: bool,
    }

    VerifyWire {
        own_operator: String,
        shared_profiles: BTreeSet<ProfileName>,
        recorded_for_compromise: bool,
        require_purl: bool,
        max_signatures: u32,
        max_signature_checks: u32,
    }

    LimitsWire {
        max_bytes: u32,
        max_json_depth: u32,
        max_subjects: u32,
        max_signatures: u32,
        max_members: u32,
    }
}

impl From<&Authority> for AuthorityWire {
    fn from(authority: &Authority) -> Self {
        Self {
            id: authority.id.clone(),
            operator: authority.operator.clone(),
            valid_from: authority.valid_from,
            valid_until: authority.valid_until,
            trusted: authority.trusted,
        }
    }
}

impl AuthorityWire {
    pub(super) fn into_authority(self) -> Authority {
        Authority {
            id: self.id,
            operator: self.operator,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            trusted: self.trusted,
        }
    }
}

/// Bounds are smaller than this, or as good as none.
fn bound(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn unbound(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl From<&VerifyPolicy> for VerifyWire {
    fn from(policy: &VerifyPolicy) -> Self {
        let VerifyPolicy {
            own_operator,
            shared_profiles,
            recorded_for_compromise,
            require_purl,
            limits:
                VerifyLimits {
                    max_signatures,
                    max_signature_checks,
                },
        } = policy;
        Self {
            own_operator: own_operator.clone(),
            shared_profiles: shared_profiles.clone(),
            recorded_for_compromise: *recorded_for_compromise,
            require_purl: *require_purl,
            max_signatures: bound(*max_signatures),
            max_signature_checks: *max_signature_checks,
        }
    }
}

impl VerifyWire {
    pub(super) fn into_policy(self) -> VerifyPolicy {
        VerifyPolicy {
            own_operator: self.own_operator,
            shared_profiles: self.shared_profiles,
            recorded_for_compromise: self.recorded_for_compromise,
            require_purl: self.require_purl,
            limits: VerifyLimits {
                max_signatures: unbound(self.max_signatures),
                max_signature_checks: self.max_signature_checks,
            },
        }
    }
}

impl From<&DocumentLimits> for LimitsWire {
    fn from(limits: &DocumentLimits) -> Self {
        Self {
            max_bytes: bound(limits.envelope.json.max_bytes),
            max_json_depth: bound(limits.envelope.json.max_depth),
            max_subjects: bound(limits.statement.max_subjects),
            max_signatures: bound(limits.envelope.max_signatures),
            max_members: bound(limits.max_members),
        }
    }
}

impl LimitsWire {
    pub(super) fn into_limits(self) -> DocumentLimits {
        let json = JsonLimits {
            max_bytes: unbound(self.max_bytes),
            max_depth: unbound(self.max_json_depth),
        };
        DocumentLimits {
            envelope: EnvelopeLimits {
                json,
                max_signatures: unbound(self.max_signatures),
            },
            statement: StatementLimits {
                json,
                max_subjects: unbound(self.max_subjects),
            },
            max_members: unbound(self.max_members),
        }
    }
}
