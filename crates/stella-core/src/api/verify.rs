//! `/v1/verify/...`: questions and verdicts.

use super::wire;
use serde_json::Value;

wire! {
    /// Times of a question, common to all of them.
    pub struct Times {
        /// Asserts the signing time. Not in the future.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub at_time: Option<String>,
        /// Answers as this server would have answered then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub as_of: Option<String>,
        /// Simulates a later verifier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub now: Option<String>,
        /// recorded or attested.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub min_time_evidence: Option<String>,
    }

    #[serde(deny_unknown_fields)]
    pub struct VerifyAttestation {
        /// An id or a unique prefix; or `last`.
        #[serde(default)]
        pub attestation: Option<String>,
        /// The last one by this identity.
        #[serde(default)]
        pub last: bool,
        /// Only if asked for by an identity matching this pattern.
        #[serde(default)]
        pub signer: Option<String>,
        #[serde(flatten)]
        pub times: Times,
    }

    #[serde(deny_unknown_fields)]
    pub struct VerifyArtifact {
        /// `sha256:HEX`; more than one names the same artifact.
        pub digests: std::collections::BTreeMap<String, String>,
        #[serde(default)]
        pub purl: Option<String>,
        #[serde(default)]
        pub require_types: Vec<String>,
        #[serde(default)]
        pub signer: Option<String>,
        #[serde(flatten)]
        pub times: Times,
    }

    #[serde(deny_unknown_fields)]
    pub struct VerifyBundle {
        /// A DSSE envelope or a Sigstore bundle, as JSON text.
        pub document: String,
        #[serde(default)]
        pub digests: std::collections::BTreeMap<String, String>,
        #[serde(default)]
        pub purl: Option<String>,
        #[serde(default)]
        pub require_types: Vec<String>,
        #[serde(flatten)]
        pub times: Times,
    }

    #[serde(deny_unknown_fields)]
    pub struct VerifyBundles {
        /// DSSE envelopes or Sigstore bundles, as JSON text; each is judged
        /// for what it says itself.
        pub documents: Vec<String>,
        #[serde(default)]
        pub require_types: Vec<String>,
        #[serde(flatten)]
        pub times: Times,
    }

    #[serde(deny_unknown_fields)]
    pub struct VerifyAnchor {
        /// The anchor's id or a unique prefix.
        pub anchor: String,
        /// How many stored attestations to look at, newest first.
        #[serde(default)]
        pub limit: Option<usize>,
        #[serde(default)]
        pub cursor: Option<String>,
        /// Nothing passes that no identity matching this pattern asked for.
        #[serde(default)]
        pub signer: Option<String>,
        #[serde(flatten)]
        pub times: Times,
    }

    /// In the order of the documents, or newest first.
    pub struct VerdictList {
        pub verdicts: Vec<VerdictReport>,
        /// Stored attestations looked at; those that another anchor decides
        /// about have no verdict here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub scanned: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
    }

    pub struct VerdictReport {
        /// PASS, FAIL, INDETERMINATE.
        pub verdict: String,
        pub code: String,
        pub subject: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub predicate_type: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub attestation_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub anchor_id: Option<String>,
        /// Whether an artifact the asker named was compared.
        pub artifact_bound: bool,
        pub trace: Vec<TraceCheck>,
        /// The single verdicts behind it: per subject or per attestation.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub parts: Vec<VerdictPart>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
        /// What the moment of the question was.
        pub now: String,
    }

    pub struct VerdictPart {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub attestation_id: Option<String>,
        pub verdict: String,
        pub code: String,
        pub subject: String,
        pub predicate_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub anchor_id: Option<String>,
        pub counts: bool,
        pub trace: Vec<TraceCheck>,
    }

    pub struct TraceCheck {
        pub name: String,
        /// pass, warn, fail, unknown, skip.
        pub status: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub code: Option<String>,
        pub detail: String,
        /// Checks of the same shape, one level down.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub children: Vec<Value>,
    }
}
