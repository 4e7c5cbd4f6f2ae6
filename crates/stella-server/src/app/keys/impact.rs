//! `keys impact`: what the end of a key did to what it signed.

use std::sync::Arc;

use stella_core::api::keys::{Impact, ImpactRow};
use stella_core::trust::TrustState;
use stella_core::verify::Verdict;

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::app::values;

impl App {
    pub async fn key_impact(&self, id: &str) -> Result<Impact> {
        let state = self.trust_head().await?;
        let id = values::key_id(id)?;
        let key = state.keys.get(&id).ok_or_else(|| {
            Error::not_found("key.unknown", format!("no key named {id}")).next("stella keys list")
        })?;
        let rows = self.signed_by(&id).await?;
        let question = self.question_now(Arc::clone(&state));
        let now = self
            .judge_many(&question.under(Arc::clone(&state)), &rows)
            .await?;
        let unended = Arc::new(without_end(&state, &id));
        let before = self.judge_many(&question.under(unended), &rows).await?;
        let count = |verdict| now.iter().filter(|j| j.verdict == verdict).count() as u64;
        let details = rows
            .iter()
            .zip(now.iter().zip(&before))
            .map(|(row, (now, before))| ImpactRow {
                attestation_id: row.id.to_string(),
                subject: now.parts.first().map(|p| p.subject.clone()).unwrap_or_default(),
                predicate_type: now
                    .parts
                    .first()
                    .map(|p| p.predicate_type.clone())
                    .unwrap_or_default(),
                signed_at: row
                    .signed
                    .as_ref()
                    .map(|s| s.recorded_at.to_string())
                    .unwrap_or_default(),
                requested_by: row.requested.identity.clone(),
                verdict: now.verdict.to_string(),
                code: now.code.to_string(),
                before: before.verdict.to_string(),
            })
            .collect();
        let broken = now
            .iter()
            .zip(&rows)
            .find(|(j, _)| j.verdict != Verdict::Pass)
            .map(|(_, row)| row.id);
        let mut next = Vec::new();
        if key
            .end
            .as_ref()
            .is_some_and(|e| e.reason.is_compromise() && e.compromised_since.is_none())
        {
            next.push(format!(
                "stella anchor revoke-key --anchor-id ALL --key-id {id} --reason compromise --compromised-since T"
            ));
        }
        if let Some(row) = broken {
            next.push(format!(
                "stella attest show {row} --details      who asked for it"
            ));
            next.push(format!("stella attest resign {row} --reviewed NOTE"));
        }
        Ok(Impact {
            key_id: id.to_string(),
            status: key.state(self.now()).to_string(),
            attestations: rows.len() as u64,
            // Whatever this server stored under the key's id it signed itself.
            in_ledger: rows.iter().filter(|r| !r.imported).count() as u64,
            pass: count(Verdict::Pass),
            fail: count(Verdict::Fail),
            indeterminate: count(Verdict::Indeterminate),
            rows: details,
            next,
        })
    }
}

/// The same trust, had the key not ended.
fn without_end(state: &TrustState, id: &stella_core::id::KeyId) -> TrustState {
    let mut state = state.clone();
    if let Some(key) = state.keys.get_mut(id) {
        key.end = None;
    }
    for anchor in state.anchors.values_mut() {
        if let Some(held) = anchor.key_mut(id) {
            held.end = None;
        }
    }
    state
}
