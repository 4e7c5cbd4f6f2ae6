//! `/v1/signer/keys` and its neighbours.

use std::fmt;

use super::wire;

wire! {
    #[serde(deny_unknown_fields)]
    pub struct GenerateKey {
        /// Defaults to the profile of `algorithm`.
        #[serde(default)]
        pub profile: Option<String>,
        /// Made from profile and date when absent.
        #[serde(default, alias = "keyid")]
        pub key_id: Option<String>,
        /// Long or short name; must agree with the profile's.
        #[serde(default)]
        pub algorithm: Option<String>,
        /// `signing` (default), `log`, `timestamp`, `feed`.
        #[serde(default, rename = "type")]
        pub key_type: Option<String>,
        /// Signs only on failover.
        #[serde(default)]
        pub standby: bool,
        /// Where a standby key is made, if not in the profile's store.
        #[serde(default)]
        pub key_store: Option<String>,
    }

    pub struct Key {
        pub id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub profile: Option<String>,
        #[serde(rename = "type")]
        pub key_type: String,
        pub algorithm: String,
        /// pending, standby, active, retiring, retired, revoked, compromised, external.
        pub status: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key_store: Option<String>,
        /// Where the same key is as well, and signs while the first store cannot.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub further_stores: Vec<String>,
        /// SubjectPublicKeyInfo, PEM.
        pub public_key: String,
        /// SHA-256 of the SubjectPublicKeyInfo, hex.
        pub fingerprint: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub not_after: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoked_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub revoke_reason: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub compromised_since: Option<String>,
        /// Anchors that hold it unrevoked.
        pub anchors: Vec<String>,
        /// What the operator should know, e.g. a store that is not validated.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub notes: Vec<String>,
    }

    pub struct KeyList {
        pub keys: Vec<Key>,
    }

    /// What activating, retiring or revoking did.
    pub struct KeyChange {
        pub id: String,
        pub status: String,
        /// The key that signed before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub outgoing: Option<String>,
        /// Anchors in which what this key signs does not verify yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub lacking_anchors: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct RevokeKey {
        pub reason: String,
        /// RFC 3339, or `NOW`.
        #[serde(default)]
        pub effective_at: Option<String>,
        #[serde(default)]
        pub compromised_since: Option<String>,
        #[serde(default)]
        pub note: Option<String>,
        /// Only say what would happen.
        #[serde(default)]
        pub dry_run: bool,
    }

    /// What a revocation touches: its blast radius.
    pub struct Revocation {
        pub key_id: String,
        pub reason: String,
        pub effective_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub compromised_since: Option<String>,
        /// Anchors in which it was, or would be, revoked.
        pub anchors: Vec<String>,
        /// Anchors left without a good key.
        pub emptied: Vec<String>,
        pub ends_signing: bool,
        /// Stored attestations signed by the key.
        pub attestations: u64,
        /// Of those, which no longer pass, at most 100 named.
        pub flipped: u64,
        pub dry_run: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub next: Vec<String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct VerifyKey {
        /// `sign`.
        #[serde(default)]
        pub operation: Option<String>,
    }

    /// The same key, cloned into another token or KMS.
    #[serde(deny_unknown_fields)]
    pub struct AddStore {
        /// Where it is there: `hsm://pkcs11/token/TOKEN?object=LABEL` or `kms://aws/key/ALIAS`.
        pub key_store: String,
        /// Take it though its token would give it out.
        #[serde(default)]
        pub allow_extractable: bool,
    }

    pub struct KeyVerified {
        pub id: String,
        pub operation: String,
        pub ok: bool,
        pub store: String,
        pub mechanism: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub slot: Option<String>,
        pub milliseconds: f64,
        /// The same in its further stores.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub further: Vec<super::attestations::TestSigned>,
    }

    pub struct Validity {
        pub key_id: String,
        pub at_time: String,
        pub valid: bool,
        pub anchors: Vec<AnchorValidity>,
    }

    pub struct AnchorValidity {
        pub anchor_id: String,
        pub pattern: String,
        pub valid: bool,
        pub added_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ends_at: Option<String>,
        /// Why, in the words of the reason codes.
        pub reason: String,
    }

    pub struct RotationWarnings {
        pub keys: Vec<RotationWarning>,
    }

    pub struct RotationWarning {
        pub key_id: String,
        pub profile: String,
        pub age_days: u64,
        /// `10mo`.
        pub age: String,
        pub max_age: String,
        /// ok, due, overdue.
        pub level: String,
        /// `Rotation due in 2 months`.
        pub warning: String,
    }

    pub struct Impact {
        pub key_id: String,
        pub status: String,
        pub attestations: u64,
        pub in_ledger: u64,
        pub pass: u64,
        pub fail: u64,
        pub indeterminate: u64,
        /// There are more than were looked at (limits.maxRejudged).
        #[serde(default)]
        pub cut: bool,
        /// Where the next page begins; the counts are of this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
        /// How far its attestations were judged anew since it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub rescan: Option<Rescan>,
        /// First those this server never made, then those whose verdict changed.
        pub rows: Vec<ImpactRow>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub next: Vec<String>,
    }

    /// Judging anew in the background.
    pub struct Rescan {
        pub judged: u64,
        /// Those that passed before the key ended and no longer do.
        pub flipped: u64,
        pub began_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ended_at: Option<String>,
    }

    pub struct ImpactRow {
        pub attestation_id: String,
        pub subject: String,
        pub predicate_type: String,
        pub signed_at: String,
        pub requested_by: String,
        pub verdict: String,
        pub code: String,
        /// What it would have been had the key not ended.
        pub before: String,
        /// Whether this server's own record of signing holds it.
        #[serde(default)]
        pub in_ledger: bool,
    }

    pub struct ConfigEntry {
        pub key: String,
        pub value: String,
        /// flag, environment, runtime, file, default.
        pub origin: String,
        /// The variable, or the file and line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub place: Option<String>,
        /// Settable at run time.
        pub runtime: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        /// When it is as if it had not been set at run time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ends_at: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
    }

    pub struct ConfigList {
        pub entries: Vec<ConfigEntry>,
    }

    #[serde(deny_unknown_fields)]
    pub struct SetConfig {
        pub value: String,
        /// For this profile alone; for signing.mode.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub profile: Option<String>,
        /// How long, such as 8h; for signing.mode, at most 24h.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lasts: Option<String>,
    }
}

// Not in the macro: whoever prints it must not see the private key.
/// A key made elsewhere.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportKey {
    #[serde(alias = "keyid")]
    pub key_id: String,
    /// With a profile the private key is brought in; without, only verifies.
    #[serde(default)]
    pub profile: Option<String>,
    /// PEM, or base64 of DER.
    #[serde(default)]
    pub public_key: Option<String>,
    /// PKCS#8, PEM or base64 of DER. Sealed at once and never given out again.
    #[serde(default)]
    pub private_key: Option<String>,
    #[serde(default)]
    pub created_at: Option<String>,
    #[serde(default)]
    pub standby: bool,
    /// Where the private key is and stays, such as
    /// `hsm://pkcs11/token/prod?object=LABEL`; it has to sign a nonce.
    #[serde(default)]
    pub key_store: Option<String>,
    /// Take a key that its token would give out.
    #[serde(default)]
    pub allow_extractable: bool,
}

impl fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportKey")
            .field("key_id", &self.key_id)
            .field("profile", &self.profile)
            .field("public_key", &self.public_key)
            .field("created_at", &self.created_at)
            .field("standby", &self.standby)
            .field("key_store", &self.key_store)
            .field("allow_extractable", &self.allow_extractable)
            .finish_non_exhaustive()
    }
}
