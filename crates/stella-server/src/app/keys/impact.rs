//! `keys impact`: what the end of a key changed, and who asked for it.

use std::sync::Arc;

use stella_core::api::keys::{Impact, ImpactRow};
use stella_core::digest::Sha256;
use stella_core::dsse::Envelope;
use stella_core::id::KeyId;
use stella_core::predicate::PredicateType;
use stella_core::trust::{KeyRecord, KeyState, TrustState};
use stella_core::verify::{Code, Verdict};
use stella_store::{AttestationRow, LedgerKey};

use super::judged::Compared;
use crate::app::error::Result;
use crate::app::{App, values};

impl App {
    pub async fn key_impact(&self, id: &str) -> Result<Impact> {
        let state = self.trust_head().await?;
        let id = values::key_id(id)?;
        let key = super::known(&state, &id)?;
        let unended = Arc::new(without_end(&state, &id));
        let mut compared = self.compare(key, unended, Arc::clone(&state)).await?;
        compared.rows.sort_by_key(|c| c.before == c.now);
        let verdicts = |wanted| count(compared.rows.iter().filter(|c| c.now == wanted).count());
        let status = key.state(self.not_before(&state));
        Ok(Impact {
            key_id: id.to_string(),
            status: status.to_string(),
            attestations: count(compared.rows.len()),
            in_ledger: self.in_ledger(key, &compared.rows).await?,
            pass: verdicts(Verdict::Pass),
            fail: verdicts(Verdict::Fail),
            indeterminate: verdicts(Verdict::Indeterminate),
            cut: compared.cut,
            next: next(&id, status, &compared.rows),
            rows: compared.rows.iter().map(row).collect(),
        })
    }

    /// How many of them our own record of signing holds.
    async fn in_ledger(&self, key: &KeyRecord, rows: &[Compared]) -> Result<u64> {
        let mut found = 0_usize;
        for page in rows.chunks(LEDGER_PAGE) {
            let asked: Vec<Vec<LedgerKey>> = page.iter().map(|c| self.ledger_keys(key, &c.row)).collect();
            let all: Vec<LedgerKey> = asked.iter().flatten().copied().collect();
            let mut entries = self.store.ledger(&all).await?.into_iter();
            for keys in &asked {
                let hits = entries.by_ref().take(keys.len()).flatten().count();
                found += usize::from(hits > 0);
            }
        }
        Ok(count(found))
    }

    fn ledger_keys(&self, key: &KeyRecord, row: &AttestationRow) -> Vec<LedgerKey> {
        let envelope = row
            .signed
            .as_ref()
            .and_then(|s| Envelope::parse(&s.envelope, &self.envelope_limits()).ok());
        let signatures = envelope.map(|e| e.signatures).unwrap_or_default();
        signatures
            .iter()
            .map(|s| LedgerKey {
                pae: row.pae,
                spki: key.public_key.fingerprint(),
                signature: Sha256::of(&s.sig),
            })
            .collect()
    }
}

const LEDGER_PAGE: usize = 500;

/// The same trust, had the key never ended anywhere.
fn without_end(state: &TrustState, id: &KeyId) -> TrustState {
    let mut state = state.clone();
    if let Some(key) = state.keys.get_mut(id) {
        key.end = None;
    }
    for anchor in state.anchors.values_mut() {
        if let Some(held) = anchor.key_mut(id) {
            held.end = None;
            held.expires_at = None;
        }
    }
    state
}

fn row(compared: &Compared) -> ImpactRow {
    let row = &compared.row;
    let subject = row.subjects.first();
    ImpactRow {
        attestation_id: row.id.to_string(),
        subject: subject
            .map(|s| s.name.clone().unwrap_or_else(|| s.digest.to_string()))
            .unwrap_or_default(),
        predicate_type: PredicateType::from_wire(&row.predicate_type).short().into_owned(),
        signed_at: row
            .signed
            .as_ref()
            .map(|s| s.recorded_at.to_string())
            .unwrap_or_default(),
        requested_by: row.requested.identity.clone(),
        verdict: compared.now.to_string(),
        code: compared.code.to_string(),
        before: compared.before.to_string(),
    }
}

fn next(id: &KeyId, status: KeyState, rows: &[Compared]) -> Vec<String> {
    let mut next = Vec::new();
    if rows.iter().any(|c| c.code == Code::KeyWindowUnknown) {
        next.push(super::state_since(id));
    }
    let strangers = rows.iter().filter(|c| c.code == Code::LedgerUnknown).count();
    if strangers > 0 && status != KeyState::Compromised {
        next.push(format!(
            "{strangers} were not made here: stella keys revoke {id} --reason compromise"
        ));
    }
    if let Some(lost) = rows
        .iter()
        .find(|c| c.before == Verdict::Pass && c.now != Verdict::Pass)
    {
        next.push(format!(
            "stella attest show {} --details, then stella attest resign {}",
            lost.row.id, lost.row.id
        ));
    }
    next
}

pub(super) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
