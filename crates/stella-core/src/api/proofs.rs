//! `/v1/proofs`, and `/v1/verify/proof`.

use super::attestations::{SubjectInput, WouldVerify};
use super::verify::{Times, VerdictReport};
use super::wire;

wire! {
    /// Without members, the newest good statement of each type about the
    /// subject is taken.
    #[serde(deny_unknown_fields)]
    pub struct CreateProof {
        /// The first member's, where that has one alone.
        #[serde(default)]
        pub subject: Option<SubjectInput>,
        /// Ids or unique prefixes, in the proof's order.
        #[serde(default)]
        pub members: Vec<String>,
        /// Who signs the spine; `default` when empty.
        #[serde(default)]
        pub profiles: Vec<String>,
        /// Sign the spine anew where an equal one exists.
        #[serde(default)]
        pub force: bool,
    }

    pub struct Proof {
        /// `sha256:HEX` over the bundle's bytes; absent while the spine waits
        /// for its signature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        /// signed, or recorded while the spine waits for its signature.
        pub state: String,
        pub subject: SubjectInput,
        /// RFC 6962 over the members' digests, in hex.
        pub merkle_root: String,
        pub spine: ProofPart,
        /// In the spine's order.
        pub members: Vec<ProofPart>,
        pub created_by: String,
        pub created_at: String,
        /// Statements about the subject that were not taken, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub passed_over: Vec<PassedOver>,
        /// It was there already.
        #[serde(default)]
        pub repeated: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub would_verify: Option<WouldVerify>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next: Option<String>,
    }

    /// One statement of a proof.
    pub struct ProofPart {
        /// SHA-256 of the DSSE pre-authentication encoding.
        pub pae_digest: String,
        pub predicate_type: String,
        /// One for each signature that the bundle carries.
        pub attestations: Vec<String>,
        pub key_ids: Vec<String>,
    }

    pub struct PassedOver {
        pub attestation_id: String,
        pub predicate_type: String,
        pub code: String,
    }

    pub struct ProofSummary {
        pub id: String,
        pub subject: SubjectInput,
        /// Of the members, in their order.
        pub predicate_types: Vec<String>,
        pub created_by: String,
        pub created_at: String,
    }

    pub struct ProofList {
        pub proofs: Vec<ProofSummary>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
    }

    /// A stored proof by its address, a document that comes along, or both:
    /// then the document must have that address.
    #[serde(deny_unknown_fields)]
    pub struct VerifyProof {
        /// `sha256:HEX`; of a stored one a unique prefix will do.
        #[serde(default)]
        pub proof: Option<String>,
        /// The bundle's exact text.
        #[serde(default)]
        pub document: Option<String>,
        /// Of the artifact it must be about.
        #[serde(default)]
        pub digests: std::collections::BTreeMap<String, String>,
        /// The name by which the asker knows the artifact.
        #[serde(default)]
        pub purl: Option<String>,
        #[serde(flatten)]
        pub times: Times,
    }

    pub struct ProofVerdict {
        /// The address, `sha256:HEX`; absent where the bundle cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        #[serde(flatten)]
        pub report: VerdictReport,
    }
}
