//! Judging anew what a change of trust touches, page by page, so that the
//! anchors' statistics follow it. No verdict that anybody asks for rests on it.
//!
//! Two things make an attestation due: a key that signed it ended (or came
//! back) after the walk over what that key signed; or the policy of the anchor
//! that judged it changed. Both are told by the trust state and by what the
//! store remembers, so that nothing is lost with a process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stella_core::digest::Sha256;
use stella_core::id::{AnchorId, KeyId};
use stella_core::trust::{KeyRecord, TrustAnchor, TrustState};
use stella_core::verify::{Code, Verdict};
use stella_store::{AttestationRow, RescanRow, VerdictRow};

use super::App;
use super::error::Result;
use super::keys::judged::{PAGE, Walked};
use super::verify::anchor::decides;
use super::verify::{Judged, Question, claimed_name};

/// Kept of an attestation that another anchor judges by now.
pub(super) const ELSEWHERE: &str = "ELSEWHERE";

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescanned {
    pub judged: u64,
    /// Those that passed before and no longer do.
    pub flipped: u64,
    /// As of this event nothing is left, unless it was told to stop.
    pub done_at: Option<u64>,
}

/// How much a round may do, and how much of a core it may take.
pub struct Pace<'a> {
    pub go_on: &'a (dyn Fn() -> bool + Sync),
    /// Attestations, at most.
    pub budget: u64,
    /// After each page as long a rest as the page took.
    pub rests: bool,
    /// Also what was withdrawn: a server that was killed then had no time for it.
    pub withdrawn: bool,
}

impl Pace<'_> {
    fn ends(&self, done: &Rescanned) -> bool {
        done.judged >= self.budget || !(self.go_on)()
    }

    /// Of a page: no more than may still be judged.
    fn page(&self, done: &Rescanned) -> usize {
        let left = self.budget.saturating_sub(done.judged);
        PAGE.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    async fn rest(&self, took: Duration) {
        if self.rests {
            tokio::time::sleep(took).await;
        }
    }
}

impl App {
    pub async fn rescan(&self, pace: &Pace<'_>) -> Result<Rescanned> {
        let trust = self.trust_head().await?;
        let mut done = Rescanned::default();
        let withdrawn = trust.withdrawn.keys().filter(|_| pace.withdrawn);
        for pae in withdrawn {
            if !(pace.go_on)() {
                return Ok(done);
            }
            self.judge_anew(Arc::clone(&trust), pae).await;
        }
        for row in self.due_keys(&trust, ended(&trust)).await? {
            if !self.rescan_key(&trust, row, pace, &mut done).await? {
                return Ok(done);
            }
        }
        for anchor in trust.anchors.values() {
            if !self.rescan_anchor(&trust, anchor, pace, &mut done).await? {
                return Ok(done);
            }
        }
        done.done_at = Some(trust.head);
        Ok(done)
    }

    /// Attestations that this anchor may judge and that were not judged since
    /// the change, at most.
    pub(super) async fn pending_rescans(&self, trust: &Arc<TrustState>, anchor: &TrustAnchor) -> Result<u64> {
        let mut pending = 0_u64;
        let held = anchor.keys.iter().filter_map(|held| trust.keys.get(&held.key_id));
        let ended = held.filter(|key| trust.has_ended(&key.id)).collect();
        for due in self.due_keys(trust, ended).await? {
            // How many imports are the key's is not known before they are read.
            pending += match due.imports {
                true => 1,
                false => self.store.signed_before(&due.key_id, due.before).await?,
            };
        }
        Ok(pending)
    }

    /// Walks that were not begun, or not ended, since the key's last event.
    async fn due_keys(&self, trust: &Arc<TrustState>, ended: Vec<&KeyRecord>) -> Result<Vec<RescanRow>> {
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.store.rescans().await?;
        let known: HashMap<&KeyId, &RescanRow> = known.iter().map(|row| (&row.key_id, row)).collect();
        let now = self.not_before(trust);
        let due = ended.into_iter().filter_map(|key| {
            let begun = known.get(&key.id).filter(|row| row.event >= key.version);
            match begun {
                Some(row) => row.ended_at.is_none().then(|| RescanRow::clone(row)),
                None => Some(RescanRow {
                    key_id: key.id.clone(),
                    event: key.version,
                    imports: false,
                    before: None,
                    judged: 0,
                    flipped: 0,
                    began_at: now,
                    ended_at: None,
                }),
            }
        });
        Ok(due.collect())
    }

    /// Whether it came to its end.
    async fn rescan_key(
        &self,
        trust: &Arc<TrustState>,
        mut row: RescanRow,
        pace: &Pace<'_>,
        done: &mut Rescanned,
    ) -> Result<bool> {
        let Some(key) = trust.keys.get(&row.key_id) else {
            return Ok(true);
        };
        let question = self.question_now(Arc::clone(trust));
        let unended = question.under(Arc::new(trust.without_end(&key.id)));
        let mut at = Some(Walked {
            imports: row.imports,
            before: row.before,
        });
        while let Some(walked) = at {
            if pace.ends(done) {
                return Ok(false);
            }
            let begun = Instant::now();
            let page = self.signed_by(key, walked, pace.page(done)).await?;
            let judged = self.judge_many(&question, &page.rows).await?;
            let flipped = self.flipped(&unended, &page.rows, &judged).await?;
            let verdicts = page
                .rows
                .iter()
                .zip(&judged)
                .flat_map(|(row, judged)| verdicts(&question, row, judged))
                .collect();
            let count = u64::try_from(page.rows.len()).unwrap_or(u64::MAX);
            row.judged += count;
            row.flipped += flipped;
            done.judged += count;
            done.flipped += flipped;
            at = page.next;
            match at {
                Some(next) => (row.imports, row.before) = (next.imports, next.before),
                None => row.ended_at = Some(self.not_before(trust)),
            }
            self.store.note_rescan(row.clone(), verdicts).await?;
            if at.is_some() {
                pace.rest(begun.elapsed()).await;
            }
        }
        Ok(true)
    }

    /// Of what does not pass, how many would pass had the key not ended.
    async fn flipped(&self, unended: &Question, rows: &[AttestationRow], judged: &[Judged]) -> Result<u64> {
        let lost: Vec<AttestationRow> = rows
            .iter()
            .zip(judged)
            .filter(|(_, judged)| judged.verdict != Verdict::Pass)
            .map(|(row, _)| row.clone())
            .collect();
        let was = self.judge_many(unended, &lost).await?;
        let passed = was.iter().filter(|judged| judged.verdict == Verdict::Pass);
        Ok(u64::try_from(passed.count()).unwrap_or(u64::MAX))
    }

    /// Whether it came to its end.
    async fn rescan_anchor(
        &self,
        trust: &Arc<TrustState>,
        anchor: &TrustAnchor,
        pace: &Pace<'_>,
        done: &mut Rescanned,
    ) -> Result<bool> {
        let question = self.question_now(Arc::clone(trust));
        let version = anchor.policy_version.to_string();
        let mut after = None;
        loop {
            // One at least, to see whether there is any.
            let limit = pace.page(done).max(1);
            let stale = self
                .store
                .stale_verdicts(anchor.id, &version, after, limit)
                .await?;
            let Some(last) = stale.last() else {
                return Ok(true);
            };
            after = Some(last.attestation);
            if pace.ends(done) {
                return Ok(false);
            }
            let begun = Instant::now();
            let mut rows = Vec::with_capacity(stale.len());
            for verdict in &stale {
                rows.extend(self.store.attestation(verdict.attestation).await?);
            }
            let judged = self.judge_many(&question, &rows).await?;
            let fresh: Vec<VerdictRow> = rows
                .iter()
                .zip(&judged)
                .map(|(row, judged)| {
                    let code = said_by(&question, anchor.id, row, judged);
                    let known = stale.iter().find(|v| v.attestation == row.id);
                    VerdictRow {
                        anchor: anchor.id,
                        attestation: row.id,
                        policy_version: version.clone(),
                        verdict: code.map_or_else(|| ELSEWHERE.to_owned(), |c| c.verdict().to_string()),
                        code: code.unwrap_or(judged.code).to_string(),
                        // Also where the clock was set back since.
                        at: known.map_or(question.moment.now, |v| v.at.max(question.moment.now)),
                    }
                })
                .collect();
            let pass = Verdict::Pass.to_string();
            let lost = fresh.iter().filter(|new| {
                let old = stale.iter().find(|old| old.attestation == new.attestation);
                new.verdict != pass && old.is_some_and(|old| old.verdict == pass)
            });
            done.flipped += u64::try_from(lost.count()).unwrap_or(u64::MAX);
            done.judged += u64::try_from(fresh.len()).unwrap_or(u64::MAX);
            self.store.note_verdicts(fresh).await?;
            pace.rest(begun.elapsed()).await;
        }
    }

    /// Every row of one statement. The statistics alone rest on it, so a
    /// failure is told and nothing else.
    pub(super) async fn judge_anew(&self, trust: Arc<TrustState>, pae: &Sha256) {
        let question = self.question_now(trust);
        let renewed = async {
            let rows = self.store.attestations_by_pae(pae).await?;
            let judged = self.judge_many(&question, &rows).await?;
            let fresh = rows.iter().zip(&judged);
            let fresh = fresh.flat_map(|(row, judged)| verdicts(&question, row, judged));
            self.store.note_verdicts(fresh.collect()).await?;
            Result::Ok(())
        };
        if let Err(error) = renewed.await {
            tracing::warn!(%error, "verdicts were not remembered");
        }
    }

    /// How far the walk over what a key signed has come, if one was begun.
    pub(super) async fn rescan_of(&self, key: &KeyId) -> Result<Option<RescanRow>> {
        let rows = self.store.rescans().await?;
        Ok(rows.into_iter().find(|row| row.key_id == *key))
    }
}

/// Those that ended first, first.
fn ended(trust: &TrustState) -> Vec<&KeyRecord> {
    let mut ended: Vec<&KeyRecord> = trust.ended_keys().collect();
    ended.sort_by_key(|key| key.version);
    ended
}

/// One for each anchor that decides about it: the gravest of what that anchor
/// says.
pub(super) fn verdicts(question: &Question, row: &AttestationRow, judged: &Judged) -> Vec<VerdictRow> {
    let trust = &question.trust;
    let names = row
        .subjects
        .iter()
        .filter_map(|subject| claimed_name(subject).ok());
    let deciding = names.flat_map(|name| {
        trust
            .deciding(&name)
            .into_iter()
            .map(|anchor| anchor.id)
            .collect::<Vec<_>>()
    });
    let mut anchors: Vec<AnchorId> = judged.parts.iter().filter_map(|part| part.anchor_id).collect();
    anchors.extend(deciding);
    anchors.sort_unstable();
    anchors.dedup();
    let verdict = |anchor: AnchorId| {
        let code = said_by(question, anchor, row, judged)?;
        Some(VerdictRow {
            anchor,
            attestation: row.id,
            policy_version: trust.anchors.get(&anchor)?.policy_version.to_string(),
            verdict: code.verdict().to_string(),
            code: code.to_string(),
            at: question.moment.now,
        })
    };
    anchors.into_iter().filter_map(verdict).collect()
}

/// The gravest of what this very anchor says. What fails before any anchor is
/// asked, such as what was withdrawn, fails in each that would decide.
fn said_by(question: &Question, anchor: AnchorId, row: &AttestationRow, judged: &Judged) -> Option<Code> {
    let own = judged.parts.iter().filter(|p| p.anchor_id == Some(anchor));
    let gravest = own.map(|p| p.code).min_by_key(|c| c.gravity());
    gravest.or_else(|| {
        let nobody = judged.parts.iter().all(|p| p.anchor_id.is_none());
        (nobody && decides(&question.trust, anchor, row)).then_some(judged.code)
    })
}
