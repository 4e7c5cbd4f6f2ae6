//! From judgements to the answer on the wire, and to what is remembered of it.

use std::collections::BTreeMap;

use serde_json::json;
use stella_core::api::verify::{TraceCheck, VerdictPart, VerdictReport};
use stella_core::id::{AnchorId, AttestationId};
use stella_core::time::Timestamp;
use stella_core::verify::{Check, CheckStatus, Code, Judgement, Verdict};
use stella_store::{LogRow, VerdictRow};

use super::{Question, gravity};
use crate::app::{App, Caller, command};

pub(super) fn part(attestation: Option<String>, counts: bool, judgement: &Judgement) -> VerdictPart {
    VerdictPart {
        attestation_id: attestation,
        verdict: judgement.verdict.to_string(),
        code: judgement.code.to_string(),
        subject: judgement.subject.clone(),
        predicate_type: judgement.predicate_type.clone(),
        anchor_id: judgement.anchor_id.map(|id| id.to_string()),
        counts,
        trace: trace(&judgement.trace),
    }
}

pub(super) fn trace(checks: &[Check]) -> Vec<TraceCheck> {
    checks.iter().map(trace_check).collect()
}

fn trace_check(check: &Check) -> TraceCheck {
    let status = match check.status {
        CheckStatus::Pass => "pass",
        CheckStatus::Warn => "warn",
        CheckStatus::Fail => "fail",
        CheckStatus::Unknown => "unknown",
        CheckStatus::Skip => "skip",
    };
    TraceCheck {
        name: check.name.to_owned(),
        status: status.to_owned(),
        code: check.code.map(|c| c.to_string()),
        detail: check.detail.clone(),
        children: check
            .children
            .iter()
            .filter_map(|c| serde_json::to_value(trace_check(c)).ok())
            .collect(),
    }
}

/// A report of one judgement alone.
pub(super) fn of_one(judgement: &Judgement, now: Timestamp) -> VerdictReport {
    VerdictReport {
        verdict: judgement.verdict.to_string(),
        code: judgement.code.to_string(),
        subject: judgement.subject.clone(),
        predicate_type: Some(judgement.predicate_type.clone()).filter(|t| !t.is_empty()),
        attestation_id: None,
        anchor_id: judgement.anchor_id.map(|id| id.to_string()),
        artifact_bound: false,
        trace: trace(&judgement.trace),
        parts: Vec::new(),
        next: None,
        now: now.to_string(),
    }
}

/// A judgement reached before any anchor was asked.
pub(super) fn stopped(subject: String, check: Check) -> Judgement {
    let code = check.code.unwrap_or(Code::EnvelopeInvalid);
    Judgement {
        verdict: code.verdict(),
        code,
        subject,
        predicate_type: String::new(),
        anchor_id: None,
        trace: vec![check],
    }
}

/// The command that mends it, with the names that are known put in.
pub(super) fn next(report: &VerdictReport, code: Code) -> Option<String> {
    if code == Code::Ok {
        return None;
    }
    let mut text = code.mend().to_owned();
    if let Some(anchor) = &report.anchor_id {
        text = text.replace("anchor show ID", &format!("anchor show {anchor}"));
    }
    if let Some(id) = &report.attestation_id {
        for verb in ["attest show", "attest resign", "attest integrity-check"] {
            text = text.replace(&format!("{verb} ID"), &format!("{verb} {id}"));
        }
    }
    let subject = command::word(&report.subject);
    Some(text.replace("explain NAME", &format!("explain {subject}")))
}

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
                        if gravity(judgement.code) < gravity(*c) {
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

    /// Writes to the operations log; what is told there happened either way.
    pub(crate) async fn note(&self, line: LogRow) {
        if let Err(error) = self.store.log(vec![line]).await {
            tracing::warn!(%error, "the operations log did not take a line");
        }
    }
}
