//! `/v1/attestations`.

use super::wire;
use serde_json::Value;

wire! {
    /// Either `statement` (base64 of the exact payload), or its parts.
    #[serde(deny_unknown_fields)]
    pub struct CreateAttestation {
        #[serde(default)]
        pub statement: Option<String>,
        /// Short name or URI.
        #[serde(default)]
        pub predicate_type: Option<String>,
        #[serde(default)]
        pub subjects: Vec<SubjectInput>,
        /// The predicate's JSON text, embedded verbatim.
        #[serde(default)]
        pub predicate: Option<String>,
        /// One envelope each; the active profile `default` when empty.
        #[serde(default)]
        pub profiles: Vec<String>,
        /// True signs anew where an equal attestation exists, false answers
        /// that one again. Left out, an Idempotency-Key decides: with one,
        /// only the same key is answered again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub force: Option<bool>,
    }

    pub struct SubjectInput {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        pub digest: std::collections::BTreeMap<String, String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct ImportAttestation {
        /// A DSSE envelope or a Sigstore bundle, as JSON text.
        pub document: String,
    }

    pub struct Attestation {
        pub id: String,
        /// recorded, signed, failed, held.
        pub state: String,
        /// SHA-256 of the DSSE pre-authentication encoding: the identity of what is signed.
        pub pae_digest: String,
        pub predicate_type: String,
        pub subjects: Vec<SubjectInput>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub profile: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key_id: Option<String>,
        /// In the active key's stead, while its store was down or set aside.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub signed_by_standby: bool,
        /// software, hsm or kms: where the key is that signed here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub signed_in: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub algorithm: Option<String>,
        pub requested_by: String,
        pub created_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub signed_at: Option<String>,
        pub imported: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub supersedes: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub superseded_by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub withdrawn: Option<Withdrawn>,
        pub attempts: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub last_error: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_attempt_at: Option<String>,
        /// Answered again from an earlier equal request.
        #[serde(default)]
        pub repeated: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub would_verify: Option<WouldVerify>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
    }

    pub struct Withdrawn {
        pub at: String,
        pub by: String,
        pub reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }

    /// How the attestation would be judged right now.
    pub struct WouldVerify {
        pub verdict: String,
        pub code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub anchor_id: Option<String>,
    }

    /// One row for each profile asked for.
    pub struct Created {
        /// The first attestation's.
        pub id: String,
        pub attestations: Vec<Attestation>,
    }

    pub struct AttestationList {
        pub attestations: Vec<Attestation>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
    }

    /// Everything, for `attest show --details`.
    pub struct AttestationDetails {
        #[serde(flatten)]
        pub attestation: Attestation,
        /// The token the requester used, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token_id: Option<String>,
        pub authority: Value,
        pub statement: Value,
        pub signatures: Vec<SignatureDetail>,
        /// Other attestations of the same statement.
        pub siblings: Vec<String>,
    }

    pub struct SignatureDetail {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub keyid: Option<String>,
        pub signature: String,
        /// signed-here, unknown.
        pub ledger: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub signed_at: Option<String>,
        pub recorded_at: String,
    }

    pub struct Integrity {
        pub id: String,
        pub intact: bool,
        pub checks: Vec<IntegrityCheck>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
    }

    pub struct IntegrityCheck {
        pub name: String,
        pub ok: bool,
        pub detail: String,
    }

    #[serde(deny_unknown_fields)]
    pub struct Resign {
        #[serde(default)]
        pub profile: Option<String>,
        /// Says who looked at it and what they found; needed where the
        /// ledger cannot vouch for the old signature.
        #[serde(default)]
        pub reviewed: Option<String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct Withdraw {
        pub reason: String,
        #[serde(default)]
        pub note: Option<String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct Retry {
        /// Seconds since the last attempt, at most.
        #[serde(default)]
        pub last_seconds: Option<u64>,
    }

    pub struct Retried {
        pub tried: u64,
        pub signed: u64,
        pub still_unsigned: u64,
        /// Unsigned, but their last attempt is older than asked for.
        pub left_out: u64,
        pub errors: Vec<String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct TestSign {
        #[serde(default)]
        pub profile: Option<String>,
        #[serde(default, alias = "keyid")]
        pub key_id: Option<String>,
    }

    pub struct TestSigned {
        pub ok: bool,
        pub key_id: String,
        pub profile: String,
        pub algorithm: String,
        pub store: String,
        pub mechanism: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub slot: Option<String>,
        pub milliseconds: f64,
    }
}
