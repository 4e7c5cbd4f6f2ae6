//! `/v1/anchors`.

use super::wire;

wire! {
    #[serde(deny_unknown_fields)]
    pub struct CreateAnchor {
        /// Taken over from elsewhere; made here when absent.
        #[serde(default)]
        pub trust_anchor_id: Option<String>,
        pub purl_pattern: String,
        #[serde(default, alias = "allowedKeyids")]
        pub key_ids: Vec<String>,
        /// Absent allows all, an empty list none.
        #[serde(default)]
        pub allowed_predicate_types: Option<Vec<String>>,
        #[serde(default)]
        pub required_predicate_types: Option<Vec<String>>,
        #[serde(default)]
        pub threshold: Option<u32>,
        #[serde(default)]
        pub min_time_evidence: Option<String>,
        #[serde(default)]
        pub time_operators: Option<u32>,
        #[serde(default)]
        pub require_evidence: Option<String>,
        #[serde(default)]
        pub require_ledger: Option<bool>,
    }

    /// Only what is given changes.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct UpdateAnchor {
        #[serde(default)]
        pub allowed_predicate_types: Option<Vec<String>>,
        /// Allow all predicate types again.
        #[serde(default)]
        pub allow_all_predicate_types: bool,
        #[serde(default)]
        pub required_predicate_types: Option<Vec<String>>,
        #[serde(default)]
        pub threshold: Option<u32>,
        #[serde(default)]
        pub min_time_evidence: Option<String>,
        #[serde(default)]
        pub time_operators: Option<u32>,
        /// `none` lifts it.
        #[serde(default)]
        pub require_evidence: Option<String>,
        #[serde(default)]
        pub require_ledger: Option<bool>,
        /// `active` or `disabled`.
        #[serde(default)]
        pub status: Option<String>,
        #[serde(default)]
        pub note: Option<String>,
    }

    /// As in the key-rotation runbook.
    pub struct Anchor {
        pub trust_anchor_id: String,
        pub purl_pattern: String,
        pub status: String,
        pub allowed_keyids: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub allowed_predicate_types: Option<Vec<String>>,
        pub required_predicate_types: Vec<String>,
        pub policy_version: String,
        pub revoked_keys: Vec<String>,
        pub key_history: Vec<KeyHistory>,
        pub threshold: u32,
        pub min_time_evidence: String,
        pub time_operators: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub require_evidence: Option<String>,
        pub require_ledger: bool,
        pub created_at: String,
    }

    pub struct KeyHistory {
        pub keyid: String,
        pub algorithm: String,
        pub added_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoked_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoke_reason: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub compromised_since: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }

    pub struct AnchorList {
        pub anchors: Vec<Anchor>,
    }

    #[serde(deny_unknown_fields)]
    pub struct AddKey {
        #[serde(alias = "keyId")]
        pub keyid: String,
        /// Needed only for a key that is not known yet. Empty counts as absent.
        #[serde(default)]
        pub public_key: Option<String>,
        #[serde(default)]
        pub expires_at: Option<String>,
        #[serde(default)]
        pub created_at: Option<String>,
        #[serde(default)]
        pub dry_run: bool,
    }

    pub struct KeyAddition {
        pub key_id: String,
        pub added_to: Vec<String>,
        pub held_already: Vec<String>,
        /// The key became the one its profile signs with.
        pub activated: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub outgoing: Option<String>,
        /// Anchors that must hold it as well before it becomes active.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub lacking_anchors: Vec<String>,
        pub dry_run: bool,
    }

    pub struct AnchorStatus {
        pub anchor_id: String,
        pub pattern: String,
        pub status: String,
        pub policy_version: String,
        pub active_keys: Vec<String>,
        /// Share of the attestations it judged that pass; absent when none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub success_rate_percent: Option<f64>,
        pub judged: u64,
        /// Attestations that were not judged since a key ended or the policy
        /// changed.
        pub pending_rescans: u64,
    }

    pub struct Explanation {
        pub name: String,
        /// What the name was read as.
        pub canonical: String,
        pub deciding: Vec<String>,
        pub candidates: Vec<ExplainedAnchor>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
    }

    pub struct ExplainedAnchor {
        pub anchor_id: String,
        pub pattern: String,
        pub status: String,
        pub matches: bool,
        pub decides: bool,
        pub why: String,
    }
}
