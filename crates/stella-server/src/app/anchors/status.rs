//! `anchor status`: what step 3 of the rotation runbook watches.

use stella_core::api::anchors::AnchorStatus;
use stella_core::id::AnchorId;
use stella_core::trust::TrustAnchor;
use stella_core::verify::{Code, Verdict};
use stella_store::VerdictRow;

use crate::app::error::Result;
use crate::app::verify::{Judged, Question};
use crate::app::{App, values};

/// How many are in memory at a time: each may hold megabytes.
const PAGE: usize = 50;

/// Kept of an attestation that another anchor judges by now.
const ELSEWHERE: &str = "ELSEWHERE";

impl App {
    /// Judges anew what was last judged under an older policy, as far as
    /// `limits.maxRejudged` allows; the rest is pending.
    pub async fn anchor_status(&self, id: &str) -> Result<AnchorStatus> {
        let state = self.trust_head().await?;
        let anchor = values::anchor(&state, id)?;
        let now = self.not_before(&state);
        let question = self.question_now(std::sync::Arc::clone(&state));
        let rows = self.store.verdicts(anchor.id).await?;
        let version = anchor.policy_version.to_string();
        let (mut current, mut stale): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.policy_version == version);
        let pending = stale.split_off(stale.len().min(self.settings.limits.max_rejudged));
        for page in stale.chunks(PAGE) {
            current.extend(self.rejudge(&question, anchor, page).await?);
        }
        let judged = current.iter().filter(|r| r.verdict != ELSEWHERE).count();
        let passing = current
            .iter()
            .filter(|r| r.verdict == Verdict::Pass.to_string())
            .count();
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
            success_rate_percent: percent(passing, judged),
            judged: u64::try_from(judged).unwrap_or(u64::MAX),
            pending_rescans: u64::try_from(pending.len()).unwrap_or(u64::MAX),
        })
    }

    async fn rejudge(
        &self,
        question: &Question,
        anchor: &TrustAnchor,
        page: &[VerdictRow],
    ) -> Result<Vec<VerdictRow>> {
        let mut rows = Vec::with_capacity(page.len());
        for verdict in page {
            rows.extend(self.store.attestation(verdict.attestation).await?);
        }
        let judged = self.judge_many(question, &rows).await?;
        let fresh: Vec<VerdictRow> = rows
            .iter()
            .zip(&judged)
            .map(|(row, judged)| {
                let code = worst_by(anchor.id, judged);
                VerdictRow {
                    anchor: anchor.id,
                    attestation: row.id,
                    policy_version: anchor.policy_version.to_string(),
                    verdict: code.map_or_else(|| ELSEWHERE.to_owned(), |c| c.verdict().to_string()),
                    code: code.unwrap_or(judged.code).to_string(),
                    at: question.moment.now,
                }
            })
            .collect();
        self.store.note_verdicts(fresh.clone()).await?;
        Ok(fresh)
    }
}

/// The gravest of what this very anchor says.
fn worst_by(anchor: AnchorId, judged: &Judged) -> Option<Code> {
    judged
        .parts
        .iter()
        .filter(|p| p.anchor_id == Some(anchor))
        .map(|p| p.code)
        .min_by_key(|c| c.gravity())
}

/// Rounded down to a tenth, so that 100 means all.
fn percent(passing: usize, judged: usize) -> Option<f64> {
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
