//! The moments of a question, and the trust by which it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stella_core::api::verify::Times;
use stella_core::evidence::{Authority, TimeClass};
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_core::verify::{Budget, Moment, Verifier, VerifyPolicy};

use crate::app::error::{Error, Result};
use crate::app::{App, Caller, values};

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
        let as_of = times
            .as_of
            .as_deref()
            .map(|t| values::time(t, present))
            .transpose()?;
        let now = times
            .now
            .as_deref()
            .map(|t| values::time(t, present))
            .transpose()?;
        let at_time = times
            .at_time
            .as_deref()
            .map(|t| values::time(t, present))
            .transpose()?;
        let min_time_evidence = times
            .min_time_evidence
            .as_deref()
            .map(|c| c.parse().map_err(|e| Error::invalid("time.class", e)))
            .transpose()?;
        if as_of.is_some() && now.is_some() {
            return Err(Error::invalid(
                "time.conflict",
                "--as-of and --now cannot be asked together",
            ));
        }
        if let Some(now) = now.filter(|now| *now < present) {
            return Err(Error::invalid(
                "time.in-past",
                format!("--now {now} is in the past; it simulates a later verifier"),
            )
            .next(format!("ask what was known then with --as-of {now}")));
        }
        if let Some(as_of) = as_of {
            in_past("--as-of", as_of, present)?;
        }
        let trust = match as_of {
            Some(moment) => self.trust.as_of(self.store.as_ref(), moment).await?,
            None => self.trust_head().await?,
        };
        let now = as_of.or(now).unwrap_or_else(|| self.not_before(&trust));
        if let Some(at_time) = at_time {
            in_past("--at-time", at_time, as_of.unwrap_or(present))?;
        }
        let mut policy = self.verify_policy();
        policy.require_purl |= caller.remote;
        Ok(Question {
            live: times.as_of.is_none()
                && times.now.is_none()
                && at_time.is_none()
                && min_time_evidence.is_none(),
            trust,
            moment: Moment { now, at_time },
            known_by: as_of,
            min_time_evidence,
            policy,
            authorities: BTreeMap::new(),
        })
    }

    /// The clock's time, or the last event's where the clock was set back.
    pub(crate) fn not_before(&self, trust: &TrustState) -> Timestamp {
        let now = self.now();
        trust.recorded_at.map_or(now, |last| last.max(now))
    }

    fn verify_policy(&self) -> VerifyPolicy {
        let shared = self.settings.profiles.iter().filter(|(_, p)| !p.exclusive);
        let mut policy = self.settings.verify.clone();
        policy
            .shared_profiles
            .extend(shared.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>());
        policy
    }
}

fn in_past(flag: &str, asked: Timestamp, present: Timestamp) -> Result<()> {
    if asked <= present {
        return Ok(());
    }
    Err(Error::invalid(
        "time.in-future",
        format!("{flag} {asked} is in the future; it is {present} now"),
    )
    .next("simulate a later verifier with --now"))
}
