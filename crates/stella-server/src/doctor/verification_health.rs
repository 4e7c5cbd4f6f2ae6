//! Whether what was signed verifies: the newest attestations, judged as
//! `verify attestation` judges them.

use std::collections::BTreeMap;
use std::sync::Arc;

use stella_core::id::AttestationId;
use stella_core::trust::TrustState;
use stella_core::trust::anchor::AnchorStatus;
use stella_core::verify::{Code, Verdict};
use stella_store::{AttestationFilter, AttestationState};

use super::{Check, Finding};
use crate::app::{App, Permission, Result};

pub const CHECK: Check = Check {
    id: "check.attestor.verification-health",
    about: "there are trust anchors, and what was signed last verifies under them",
    needs: Permission::ReadAnchors,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let trust = app.trust_head().await?;
    if let Some(finding) = without_anchors(&trust) {
        return Ok(vec![finding]);
    }
    let filter = AttestationFilter {
        state: Some(AttestationState::Signed),
        limit: app.settings.doctor.verify_newest,
        ..AttestationFilter::default()
    };
    let rows = app.store.list_attestations(filter).await?;
    let judged = app.judge_many(&app.question_now(trust), &rows).await?;
    let mut passed = 0_usize;
    let mut others: BTreeMap<Code, Others> = BTreeMap::new();
    for (row, judged) in rows.iter().zip(&judged) {
        match judged.code {
            _ if judged.verdict == Verdict::Pass => passed += 1,
            // Somebody meant it so.
            Code::AttestationWithdrawn | Code::AttestationSuperseded => {}
            code => {
                others
                    .entry(code)
                    .or_insert(Others {
                        newest: row.id,
                        number: 0,
                    })
                    .number += 1;
            }
        }
    }
    let number = passed + others.values().map(|others| others.number).sum::<usize>();
    let mut findings: Vec<Finding> = others
        .into_iter()
        .map(|(code, others)| told(code, &others, number, passed == 0))
        .collect();
    if passed > 0 {
        findings.push(Finding::pass(format!("{passed} of the newest {number} pass")));
    }
    if findings.is_empty() {
        findings.push(Finding::skip("nothing was signed yet"));
    }
    Ok(findings)
}

/// Those of one verdict.
struct Others {
    newest: AttestationId,
    number: usize,
}

fn told(code: Code, others: &Others, number: usize, none_passes: bool) -> Finding {
    let measured = format!(
        "{} of the newest {number} do not pass: {} ({code}), such as {}",
        others.number,
        code.verdict(),
        others.newest
    );
    let next = format!(
        "stella verify attestation --attestation {} --verbose",
        others.newest
    );
    if none_passes || speaks_of_damage(code) {
        Finding::fail(measured, code.meaning(), next)
    } else {
        Finding::warn(measured, code.meaning(), next)
    }
}

/// No decision about trust gives these: bytes changed, or somebody else signs
/// with our key.
fn speaks_of_damage(code: Code) -> bool {
    matches!(
        code,
        Code::EnvelopeInvalid
            | Code::EnvelopePayloadType
            | Code::StatementInvalid
            | Code::SignatureInvalid
            | Code::LedgerUnknown
    )
}

fn without_anchors(trust: &TrustState) -> Option<Finding> {
    if trust.anchors.is_empty() {
        return Some(Finding::warn(
            "there is no trust anchor",
            "none was made yet; nothing verifies",
            "stella anchor create --purl-pattern PATTERN --key-ids KEY",
        ));
    }
    let disabled = |status: &AnchorStatus| *status != AnchorStatus::Active;
    trust
        .anchors
        .values()
        .all(|anchor| disabled(&anchor.status))
        .then(|| {
            Finding::fail(
                format!("all {} trust anchors are disabled", trust.anchors.size()),
                "they were disabled, and a disabled anchor fails whatever it decides on",
                "stella anchor list, then stella anchor show ID tells who disabled it and why",
            )
        })
}
