//! `anchor status`: how the anchor's judgements stand under its present policy.

use stella_core::api::anchors::AnchorStatus;
use stella_store::VerdictRow;

use crate::app::error::Result;
use crate::app::{App, values};

/// How many attestations are judged again in one go; what is left is reported.
const MAX_RESCANS: usize = 10_000;

impl App {
    pub async fn anchor_status(&self, id: &str) -> Result<AnchorStatus> {
        let state = self.trust_head().await?;
        let anchor = values::anchor(&state, id)?;
        let version = anchor.policy_version.to_string();
        let mut verdicts = self.store.verdicts(anchor.id).await?;
        let question = self.question_now(std::sync::Arc::clone(&state));
        let mut renewed = Vec::new();
        let mut rescans = MAX_RESCANS;
        for known in verdicts.iter_mut().filter(|v| v.policy_version != version) {
            if rescans == 0 {
                break;
            }
            rescans -= 1;
            let Some(row) = self.store.attestation(known.attestation).await? else {
                continue;
            };
            let judged = self.judge_stored(&question, &row).await?;
            // Another anchor may decide about it by now; then it is no longer this one's.
            let part = judged.parts.iter().find(|p| p.anchor_id == Some(anchor.id));
            let (verdict, code) = part.map_or((judged.verdict, judged.code), |p| (p.verdict, p.code));
            *known = VerdictRow {
                policy_version: version.clone(),
                verdict: verdict.to_string(),
                code: code.to_string(),
                at: question.moment.now,
                ..known.clone()
            };
            renewed.push(known.clone());
        }
        if !renewed.is_empty() {
            self.store.note_verdicts(renewed).await?;
        }
        let current = verdicts.iter().filter(|v| v.policy_version == version);
        let (judged, passing) = current.fold((0_u64, 0_u64), |(all, good), v| {
            (all + 1, good + u64::from(v.verdict == "PASS"))
        });
        #[allow(clippy::cast_precision_loss)] // a percentage for people
        let rate = (judged > 0).then(|| passing as f64 * 100.0 / judged as f64);
        let now = self.now();
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
            success_rate_percent: rate,
            judged,
            pending_rescans: verdicts.len() as u64 - judged,
        })
    }
}
