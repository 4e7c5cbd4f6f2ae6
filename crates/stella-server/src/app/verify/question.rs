//! The moments of a question, and the trust by which it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stella_core::api::verify::Times;
use stella_core::evidence::{Authority, TimeClass};
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_core::verify::ask::Moments;
use stella_core::verify::{Budget, Moment, Verifier, VerifyPolicy};

use crate::app::error::Result;
use crate::app::{App, Caller};

/// Everything an answer rests on besides the stored evidence.
#[derive(Debug, Clone)]
pub struct Question {
    pub trust: Arc<TrustState>,
    pub moment: Moment,
    /// Only what this server had recorded by then counts ("as of").
    pub known_by: Option<Timestamp>,
    pub min_time_evidence: Option<TimeClass>,
    pub policy: VerifyPolicy,
    pub authorities: BTreeMap<String, Authority>,
    /// Asked about the present, under the anchors' own rules: what such a
    /// question finds is remembered and logged.
    pub live: bool,
}

impl Question {
    pub fn verifier(&self) -> Verifier<'_> {
        Verifier {
            trust: &self.trust,
            authorities: &self.authorities,
            policy: &self.policy,
            moment: self.moment,
            min_time_evidence: self.min_time_evidence,
        }
    }

    pub fn budget(&self) -> Budget {
        Budget::new(self.policy.limits.max_signature_checks)
    }

    /// The same question put to another state of trust.
    #[must_use]
    pub fn under(&self, trust: Arc<TrustState>) -> Self {
        Self {
            trust,
            live: false,
            ..self.clone()
        }
    }
}

impl App {
    /// The plain question about the present.
    pub fn question_now(&self, trust: Arc<TrustState>) -> Question {
        let now = self.not_before(&trust);
        Question {
            trust,
            moment: Moment::at(now),
            known_by: None,
            min_time_evidence: None,
            policy: self.verify_policy(),
            authorities: BTreeMap::new(),
            live: true,
        }
    }

    pub(super) async fn question(&self, caller: &Caller, times: &Times) -> Result<Question> {
        let present = self.now();
        let moments = Moments::parse(times, present)?;
        let trust = match moments.as_of {
            Some(moment) => self.trust.as_of(self.store.as_ref(), moment).await?,
            None => self.trust_head().await?,
        };
        let now = moments.as_of.or(moments.now);
        let now = now.unwrap_or_else(|| self.not_before(&trust));
        let mut policy = self.verify_policy();
        policy.require_purl |= caller.remote;
        Ok(Question {
            live: moments.are_plain(),
            trust,
            moment: Moment {
                now,
                at_time: moments.at_time,
            },
            known_by: moments.as_of,
            min_time_evidence: moments.min_time_evidence,
            policy,
            authorities: BTreeMap::new(),
        })
    }

    /// The clock's time, or the last event's where the clock was set back.
    pub(crate) fn not_before(&self, trust: &TrustState) -> Timestamp {
        let now = self.now();
        trust.recorded_at.map_or(now, |last| last.max(now))
    }

    pub(crate) fn verify_policy(&self) -> VerifyPolicy {
        let shared = self.settings.profiles.iter().filter(|(_, p)| !p.exclusive);
        let mut policy = self.settings.verify.clone();
        policy
            .shared_profiles
            .extend(shared.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>());
        policy
    }
}
