//! What is remembered of an answer.

use std::collections::BTreeMap;

use serde_json::json;
use stella_core::api::verify::VerdictReport;
use stella_core::id::{AnchorId, AttestationId};
pub(super) use stella_core::verify::report::{next, of_one, of_proof, part, stopped};
use stella_core::verify::{Code, Judgement, Verdict};
use stella_store::{LogRow, VerdictRow};

use super::Question;
use crate::app::{App, Caller};

/// The verdicts that a question reached about stored attestations.
pub(super) struct Reached<'a>(pub Vec<(AttestationId, &'a Judgement)>);

impl App {
    /// For the anchors' statistics. A verdict stands without it, so a failure
    /// is logged and nothing else.
    pub(super) async fn remember(&self, question: &Question, reached: Reached<'_>) {
        if !question.live {
            return;
        }
        let mut worst: BTreeMap<(AnchorId, AttestationId), Code> = BTreeMap::new();
        for (id, judgement) in reached.0 {
            if let Some(anchor) = judgement.anchor_id {
                worst
                    .entry((anchor, id))
                    .and_modify(|c| {
                        if judgement.code.gravity() < c.gravity() {
                            *c = judgement.code;
                        }
                    })
                    .or_insert(judgement.code);
            }
        }
        let rows: Vec<VerdictRow> = worst
            .into_iter()
            .filter_map(|((anchor, attestation), code)| {
                Some(VerdictRow {
                    anchor,
                    attestation,
                    policy_version: question.trust.anchors.get(&anchor)?.policy_version.to_string(),
                    verdict: code.verdict().to_string(),
                    code: code.to_string(),
                    at: question.moment.now,
                })
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_verdicts(rows).await {
            tracing::warn!(%error, "verdicts were not remembered");
        }
    }

    /// What the on-call person reads; a PASS is not worth a line.
    pub(super) async fn log_verdict(&self, question: &Question, caller: &Caller, report: &VerdictReport) {
        let level = match report.verdict.as_str() {
            _ if !question.live => return,
            v if v == Verdict::Fail.to_string() => "error",
            v if v == Verdict::Indeterminate.to_string() => "warn",
            _ => return,
        };
        // The longest name there is fits; what is none may have any length.
        let subject: String = report
            .subject
            .chars()
            .take(stella_core::purl::MAX_LENGTH)
            .collect();
        let fields = json!({
            "code": report.code,
            "subject": subject,
            "predicateType": report.predicate_type,
            "attestationId": report.attestation_id,
            "anchorId": report.anchor_id,
            "by": caller.identity,
        });
        let line = LogRow {
            at: self.now(),
            level: level.to_owned(),
            component: "verification".to_owned(),
            message: format!("verification {}: {subject} ({})", report.verdict, report.code),
            fields,
        };
        self.note(line).await;
    }

    /// Of many answers one line, if one of them is worth it.
    pub(super) async fn log_verdicts(&self, question: &Question, caller: &Caller, reports: &[VerdictReport]) {
        if !question.live {
            return;
        }
        let mut codes: BTreeMap<&str, u64> = BTreeMap::new();
        for report in reports {
            *codes.entry(&report.code).or_default() += 1;
        }
        let count = |verdict: Verdict| {
            let verdict = verdict.to_string();
            reports.iter().filter(|r| r.verdict == verdict).count()
        };
        let (fail, indeterminate) = (count(Verdict::Fail), count(Verdict::Indeterminate));
        let level = match (fail, indeterminate) {
            (0, 0) => return,
            (0, _) => "warn",
            _ => "error",
        };
        let line = LogRow {
            at: self.now(),
            level: level.to_owned(),
            component: "verification".to_owned(),
            message: format!(
                "verification of {}: {fail} FAIL, {indeterminate} INDETERMINATE",
                reports.len()
            ),
            fields: json!({"codes": codes, "by": caller.identity}),
        };
        self.note(line).await;
    }

    /// Writes to the operations log; what is told there happened either way.
    pub(crate) async fn note(&self, line: LogRow) {
        if let Err(error) = self.store.log(vec![line]).await {
            tracing::warn!(%error, "the operations log did not take a line");
        }
    }
}
