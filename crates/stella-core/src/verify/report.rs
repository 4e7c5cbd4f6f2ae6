//! From judgements to the answer on the wire, the same on a server and off it.

use crate::api::proofs::ProofVerdict;
use crate::api::verify::{TraceCheck, VerdictPart, VerdictReport};
use crate::bundle::spine;
use crate::command;
use crate::digest::Sha256;
use crate::id::KeyId;
use crate::predicate::PredicateType;
use crate::time::Timestamp;
use crate::verify::proof::ProofJudgement;
use crate::verify::{Check, CheckStatus, Code, Judgement};

pub fn part(attestation: Option<String>, counts: bool, judgement: &Judgement) -> VerdictPart {
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

pub fn trace(checks: &[Check]) -> Vec<TraceCheck> {
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
pub fn of_one(judgement: &Judgement, now: Timestamp) -> VerdictReport {
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

/// Of a proof bundle with this address, if it could be read. `attestation` is
/// the stored one on which the verdict rests: only for the command that mends
/// it, the verdict is about all of them.
pub fn of_proof(
    judgement: &ProofJudgement,
    address: Option<Sha256>,
    attestation: Option<String>,
    artifact_bound: bool,
    now: Timestamp,
) -> ProofVerdict {
    let id = address.map(|a| format!("sha256:{a}"));
    let spine = PredicateType::from_wire(spine::PREDICATE_TYPE);
    let mut report = VerdictReport {
        verdict: judgement.verdict.to_string(),
        code: judgement.code.to_string(),
        subject: judgement.subject.clone(),
        predicate_type: Some(spine.short().into_owned()),
        attestation_id: attestation,
        anchor_id: judgement.anchor_id.map(|id| id.to_string()),
        artifact_bound,
        trace: trace(&judgement.trace),
        parts: Vec::new(),
        next: None,
        now: now.to_string(),
    };
    report.next = next(&report, judgement.code).map(|next| match &id {
        Some(id) => next.replace("export ADDRESS", &format!("export {id}")),
        None => next,
    });
    report.attestation_id = None;
    ProofVerdict { id, report }
}

/// A judgement reached before any anchor was asked.
pub fn stopped(subject: String, check: Check) -> Judgement {
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
pub fn next(report: &VerdictReport, code: Code) -> Option<String> {
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
    if let Some(key) = key_of(report, code) {
        text = text.replace("--key-id KEY", &format!("--key-id {key}"));
        for verb in ["keys impact", "keys revoke"] {
            text = text.replace(&format!("{verb} KEY"), &format!("{verb} {key}"));
        }
    }
    let subject = command::word(&report.subject);
    Some(text.replace("explain NAME", &format!("explain {subject}")))
}

/// Of the signature at which this verdict was reached.
fn key_of(report: &VerdictReport, code: Code) -> Option<KeyId> {
    let code = code.to_string();
    let reached = report.trace.iter().position(|c| c.code.as_ref() == Some(&code))?;
    let before = report.trace.get(..reached)?.iter().rev();
    let made = before
        .into_iter()
        .find(|c| c.name == "signature" && c.code.is_none())?;
    made.detail.rsplit_once(" by ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown is a command that can be pasted.
    #[test]
    fn the_command_that_mends_it_names_what_it_is_about() {
        let now = Timestamp::from_secs(1);
        let about = |code: Code, subject: &str| {
            let mut report = of_one(&stopped(subject.to_owned(), Check::stop("anchor", code, "")), now);
            report.anchor_id = Some("a1".to_owned());
            report.attestation_id = Some("b2".to_owned());
            next(&report, code)
        };
        let says = |code, text: &str| {
            let said = about(code, "pkg:npm/a@1").unwrap_or_default();
            assert!(said.contains(text), "{said}");
        };
        says(Code::AnchorDisabled, "stella anchor show a1 ");
        says(Code::KeyExpired, "stella attest resign b2");
        says(Code::SignatureInvalid, "stella attest integrity-check b2 ");
        says(Code::KeyRevoked, "stella attest show b2 --details");
        says(Code::AnchorNone, "stella anchor explain pkg:npm/a@1 ");
        let hostile = about(Code::AnchorNone, "a; rm -rf ~").unwrap_or_default();
        assert!(hostile.contains("explain 'a; rm -rf ~' "), "{hostile}");
        assert_eq!(about(Code::Ok, "a"), None, "there is nothing to mend");
    }

    #[test]
    fn the_key_that_signed_is_named_where_it_has_to_be_typed() {
        let said = |code: Code| {
            let mut judgement = stopped("pkg:npm/a@1".to_owned(), Check::stop("key", code, ""));
            let signature = Check::pass("signature", "SHA256-ED25519 by key-2024-prod");
            judgement.trace.insert(0, signature);
            next(&of_one(&judgement, Timestamp::from_secs(1)), code).unwrap_or_default()
        };
        assert!(said(Code::KeyWindowUnknown).contains("--key-id key-2024-prod --reason compromise"));
        let ledger = said(Code::LedgerUnknown);
        assert!(ledger.contains("keys impact key-2024-prod,"), "{ledger}");
        assert!(ledger.contains("keys revoke key-2024-prod --reason"), "{ledger}");
    }
}
