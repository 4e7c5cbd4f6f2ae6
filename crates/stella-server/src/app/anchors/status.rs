//! `anchor status`: what step 3 of the rotation runbook watches.

use stella_core::api::anchors::AnchorStatus;
use stella_core::verify::Verdict;

use crate::app::error::Result;
use crate::app::rescan::{ELSEWHERE, Pace};
use crate::app::{App, values};

impl App {
    /// From what was counted. An embedded instance has nobody who judges anew
    /// in the background, so it does that first, as far as
    /// `limits.maxRejudged` allows.
    pub async fn anchor_status(&self, id: &str) -> Result<AnchorStatus> {
        let state = self.trust_head().await?;
        let anchor = values::anchor(&state, id)?;
        if !self.repeats_by_itself() {
            let pace = Pace {
                go_on: &|| true,
                budget: u64::try_from(self.settings.limits.max_rejudged).unwrap_or(u64::MAX),
                rests: false,
                withdrawn: false,
            };
            self.rescan(&pace).await?;
        }
        let now = self.not_before(&state);
        let version = anchor.policy_version.to_string();
        let counts = self.store.verdict_counts(anchor.id, &version).await?;
        let pending = self.pending_rescans(&state, anchor).await?;
        let of = |verdict: &str| counts.current.get(verdict).copied().unwrap_or_default();
        let judged = counts.current.values().sum::<u64>() - of(ELSEWHERE);
        Ok(AnchorStatus {
            anchor_id: anchor.id.to_string(),
            pattern: anchor.pattern.to_string(),
            status: anchor.status.to_string(),
            policy_version: version,
            active_keys: anchor
                .keys
                .iter()
                .filter(|k| k.is_current(now))
                .map(|k| k.key_id.to_string())
                .collect(),
            success_rate_percent: percent(of(&Verdict::Pass.to_string()), judged),
            judged,
            pending_rescans: counts.stale.max(pending),
        })
    }
}

/// Rounded down to a tenth, so that 100 means all.
fn percent(passing: u64, judged: u64) -> Option<f64> {
    let tenths = passing.saturating_mul(1000).checked_div(judged)?;
    Some(f64::from(u32::try_from(tenths).unwrap_or(1000)) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_means_all() {
        assert_eq!(percent(0, 0), None);
        assert_eq!(percent(0, 3), Some(0.0));
        assert_eq!(percent(2, 3), Some(66.6));
        assert_eq!(percent(9_999, 10_000), Some(99.9));
        assert_eq!(percent(10_000, 10_000), Some(100.0));
    }
}
