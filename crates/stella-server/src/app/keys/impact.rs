//! `keys impact`: what the end of a key changed, and who asked for it.

use std::sync::Arc;

use stella_core::api::keys::{Impact, ImpactRow, Rescan};
use stella_core::digest::Sha256;
use stella_core::id::KeyId;
use stella_core::trust::{KeyRecord, KeyState};
use stella_core::verify::{Code, Verdict};
use stella_store::LedgerKey;

use super::judged::Compared;
use crate::app::error::Result;
use crate::app::{App, values};

#[derive(Debug, Clone, Default)]
pub struct ImpactQuery {
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

impl App {
    /// Of everything that may be judged for one question; or, with a cursor or
    /// a limit, of a page of it.
    pub async fn key_impact(&self, id: &str, asked: ImpactQuery) -> Result<Impact> {
        let state = self.trust_head().await?;
        let id = values::key_id(id)?;
        let key = super::known(&state, &id)?;
        let unended = Arc::new(state.without_end(&id));
        let (compared, next_page) = match (&asked.cursor, asked.limit) {
            (None, None) => (self.compare(key, unended, Arc::clone(&state)).await?, None),
            (cursor, limit) => {
                let walked = cursor.as_deref().map(str::parse).transpose()?.unwrap_or_default();
                let limit = self.page(limit)?.rows();
                self.compare_page(key, unended, Arc::clone(&state), walked, limit)
                    .await?
            }
        };
        let rescan = self.rescan_of(&id).await?;
        let ledgered = self.ledgered(key, &compared.rows).await?;
        let mut rows: Vec<(Compared, bool)> = compared.rows.into_iter().zip(ledgered).collect();
        rows.sort_by_key(|(c, in_ledger)| (*in_ledger, c.before == c.now));
        let verdicts = |wanted| count(rows.iter().filter(|(c, _)| c.now == wanted).count());
        let status = key.state(self.not_before(&state));
        Ok(Impact {
            key_id: id.to_string(),
            status: status.to_string(),
            attestations: count(rows.len()),
            in_ledger: count(rows.iter().filter(|(_, in_ledger)| *in_ledger).count()),
            pass: verdicts(Verdict::Pass),
            fail: verdicts(Verdict::Fail),
            indeterminate: verdicts(Verdict::Indeterminate),
            cut: compared.cut || next_page.is_some(),
            next_cursor: next_page.map(|walked| walked.to_string()),
            rescan: rescan.map(|row| Rescan {
                judged: row.judged,
                flipped: row.flipped,
                began_at: row.began_at.to_string(),
                ended_at: row.ended_at.map(|at| at.to_string()),
            }),
            next: next(&id, status, &rows, self.signs_here_only(key)),
            rows: rows.iter().map(|(c, in_ledger)| row(c, *in_ledger)).collect(),
        })
    }

    /// Which of them our own record of signing holds, in the order given.
    async fn ledgered(&self, key: &KeyRecord, rows: &[Compared]) -> Result<Vec<bool>> {
        let mut out = Vec::with_capacity(rows.len());
        for page in rows.chunks(LEDGER_PAGE) {
            let asked: Vec<Vec<LedgerKey>> = page.iter().map(|c| ledger_keys(key, c)).collect();
            let all: Vec<LedgerKey> = asked.iter().flatten().copied().collect();
            let mut entries = self.store.ledger(&all).await?.into_iter();
            for keys in &asked {
                out.push(entries.by_ref().take(keys.len()).flatten().count() > 0);
            }
        }
        Ok(out)
    }

    /// Then a signature that this server did not make is somebody else's.
    fn signs_here_only(&self, key: &KeyRecord) -> bool {
        key.profile()
            .is_some_and(|name| self.settings.profiles.get(name).is_none_or(|p| p.exclusive))
    }
}

fn ledger_keys(key: &KeyRecord, compared: &Compared) -> Vec<LedgerKey> {
    let of = |signature: &Sha256| LedgerKey {
        pae: compared.pae,
        spki: key.public_key.fingerprint(),
        signature: *signature,
    };
    compared.signatures.iter().map(of).collect()
}

const LEDGER_PAGE: usize = 500;

fn row(compared: &Compared, in_ledger: bool) -> ImpactRow {
    ImpactRow {
        attestation_id: compared.id.to_string(),
        subject: compared.subject.clone(),
        predicate_type: compared.predicate_type.short().into_owned(),
        signed_at: compared.signed_at.map(|t| t.to_string()).unwrap_or_default(),
        requested_by: compared.requested_by.clone(),
        verdict: compared.now.to_string(),
        code: compared.code.to_string(),
        before: compared.before.to_string(),
        in_ledger,
    }
}

fn next(id: &KeyId, status: KeyState, rows: &[(Compared, bool)], here_only: bool) -> Vec<String> {
    let mut next = Vec::new();
    if rows.iter().any(|(c, _)| c.code == Code::KeyWindowUnknown) {
        next.push(super::state_since(id));
    }
    let strangers = rows.iter().filter(|(_, in_ledger)| !in_ledger).count();
    if here_only && strangers > 0 && status != KeyState::Compromised {
        next.push(format!(
            "{strangers} not made by this server, yet {id} signs nowhere else: stella keys revoke {id} --reason compromise"
        ));
    }
    let lost = rows
        .iter()
        .find(|(c, in_ledger)| *in_ledger && c.before == Verdict::Pass && c.now != Verdict::Pass);
    if let Some((lost, _)) = lost {
        next.push(format!(
            "stella attest show {} --details, then stella attest resign {} --reviewed NOTE",
            lost.id, lost.id
        ));
    }
    next
}

pub(super) fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
