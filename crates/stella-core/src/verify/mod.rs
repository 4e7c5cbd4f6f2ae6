//! The verification engine: a pure function of evidence, trust, time and a
//! budget, to a verdict with its whole trace.
//!
//! FAIL means that no further evidence could turn the answer into PASS;
//! whatever is merely unproven is INDETERMINATE. Where two witnesses contradict
//! each other, the one who saw the signature earlier is believed: otherwise
//! taking evidence away could turn an answer into PASS.

pub mod artifact;
pub mod ask;
pub mod code;
pub mod document;
pub mod proof;
pub mod report;
pub mod signature;
pub mod statement;
pub mod time;
pub mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evidence::{Authority, TimeClass};
use crate::id::{AnchorId, ProfileName};
use crate::trust::state::TrustState;

pub use artifact::{ArtifactJudgement, Candidate};
pub use code::Code;
pub use signature::{Budget, SignatureCase};
pub use statement::{Judgement, SignedStatement};
pub use time::Moment;
pub use trace::{Check, CheckStatus};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Pass,
    Fail,
    Indeterminate,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Indeterminate => "INDETERMINATE",
        })
    }
}

/// Everything a verdict rests on besides the evidence itself.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'a> {
    pub trust: &'a TrustState,
    pub authorities: &'a BTreeMap<String, Authority>,
    pub policy: &'a VerifyPolicy,
    pub moment: Moment,
    /// A floor the asker adds to the anchors' own.
    pub min_time_evidence: Option<TimeClass>,
}

/// The verifier's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyPolicy {
    /// Whose word about its own signatures is only a claim.
    pub own_operator: String,
    /// Profiles whose keys also sign elsewhere (`exclusive: false`).
    pub shared_profiles: BTreeSet<ProfileName>,
    /// Whether this server's own record counts for a compromised key.
    pub recorded_for_compromise: bool,
    /// Refuse to judge an artifact under the name its signer claims.
    pub require_purl: bool,
    pub limits: VerifyLimits,
}

impl Default for VerifyPolicy {
    fn default() -> Self {
        Self {
            own_operator: "self".to_owned(),
            shared_profiles: BTreeSet::new(),
            recorded_for_compromise: false,
            require_purl: false,
            limits: VerifyLimits::default(),
        }
    }
}

/// Each bound is a setting under `verify.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyLimits {
    pub max_signatures: usize,
    pub max_signature_checks: u32,
}

impl Default for VerifyLimits {
    fn default() -> Self {
        Self {
            max_signatures: 16,
            max_signature_checks: 1024,
        }
    }
}

/// Several anchors of one pattern each judge whole; one PASS suffices, and an
/// open answer is kept before a final no.
fn best<T>(answers: Vec<T>, verdict: impl Fn(&T) -> Verdict) -> Option<T> {
    let rank = |answer: &T| match verdict(answer) {
        Verdict::Pass => 0,
        Verdict::Indeterminate => 1,
        Verdict::Fail => 2,
    };
    answers.into_iter().min_by_key(rank)
}

fn short_id(id: AnchorId) -> String {
    id.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn verdicts_and_anchors_are_called_by_their_names() {
        let all = [Verdict::Pass, Verdict::Fail, Verdict::Indeterminate].map(|v| format!("{v:<6}|"));
        assert_eq!(all, ["PASS  |", "FAIL  |", "INDETERMINATE|"]);
        assert_eq!(short_id(AnchorId(Uuid::from_u128(1 << 96))), "00000001");
    }
}
