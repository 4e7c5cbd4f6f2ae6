//! `attest retry`: every unsigned record, oldest first.

use std::collections::BTreeSet;
use std::time::Duration;

use stella_core::api::attestations::{Retried, Retry};
use stella_core::id::ProfileName;
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_store::{Attempt, AttestationFilter, AttestationRow, AttestationState, SignatureStored};

use super::sign::{MAX_TRIES, NoSignature};
use super::statement::Draft;
use crate::app::error::Result;
use crate::app::{App, Caller};

/// What became of one record.
enum Tried {
    Signed,
    Refused(NoSignature),
    /// Its requester may no longer have it signed.
    Held(String),
    /// Somebody else signed it meanwhile, or it is gone.
    Settled,
}

impl App {
    /// Failed and held ones as well: "failed" means every record without a
    /// signature. Authority is checked again, the requester's, not the caller's.
    pub async fn retry_attestations(&self, request: Retry) -> Result<Retried> {
        let now = self.now();
        let since = request
            .last_seconds
            .map(|s| now.saturating_sub(Duration::from_secs(s)));
        let every = [
            AttestationState::Recorded,
            AttestationState::Failed,
            AttestationState::Held,
        ];
        let rows = self.unsigned(&every).await?;
        let (due, left): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|r| since.is_none_or(|since| last_attempt(r) >= since));
        let mut answer = self.sign_recorded(due).await?;
        answer.left_out = u64::try_from(left.len()).unwrap_or(u64::MAX);
        Ok(answer)
    }

    /// One round of the background queue: what is due by now.
    pub async fn sign_due(&self) -> Result<Retried> {
        let now = self.now();
        let mut rows = self.unsigned(&[AttestationState::Recorded]).await?;
        rows.retain(|r| r.attempts.next_at.is_none_or(|t| t <= now));
        self.sign_recorded(rows).await
    }

    /// A store answers again: whatever waits for it is signed at once, however
    /// late its next attempt was to be.
    pub async fn sign_waiting(&self) -> Result<Retried> {
        let rows = self.unsigned(&[AttestationState::Recorded]).await?;
        self.sign_recorded(rows).await
    }

    async fn sign_recorded(&self, rows: Vec<AttestationRow>) -> Result<Retried> {
        let mut answer = Retried {
            tried: 0,
            signed: 0,
            still_unsigned: 0,
            left_out: 0,
            errors: Vec::new(),
        };
        // A backend that is down costs the other records no attempt.
        let mut down: BTreeSet<ProfileName> = BTreeSet::new();
        for row in rows {
            if row.profile.as_ref().is_some_and(|p| down.contains(p)) {
                answer.still_unsigned += 1;
                continue;
            }
            answer.tried += 1;
            match self.sign_one(&row).await? {
                Tried::Signed => answer.signed += 1,
                Tried::Settled => {}
                Tried::Held(why) => {
                    answer.still_unsigned += 1;
                    answer.errors.push(format!("{}: {why}", row.id));
                }
                Tried::Refused(why) => {
                    answer.still_unsigned += 1;
                    answer
                        .errors
                        .push(format!("{}: {} (next: {})", row.id, why.reason, why.next));
                    if why.retry != stella_keys::Retry::Never {
                        down.extend(row.profile.clone());
                    }
                }
            }
        }
        Ok(answer)
    }

    async fn sign_one(&self, row: &AttestationRow) -> Result<Tried> {
        let Some(profile) = &row.profile else {
            return Ok(Tried::Settled);
        };
        let draft = match Draft::of(self, row.payload.clone()) {
            Ok(draft) => draft,
            // The bounds were tightened since; the record is set aside, not lost.
            Err(e) => return self.not_signed(row, NoSignature::unreadable(&e)).await,
        };
        if let Err(why) = self.requester_still_may(row, &draft, profile).await? {
            let held = Attempt {
                state: AttestationState::Held,
                error: why.clone(),
                at: self.now(),
                next_at: None,
            };
            self.store.note_attempt(row.id, held).await?;
            return Ok(Tried::Held(why));
        }
        for _ in 0..MAX_TRIES {
            let trust = self.trust_head().await?;
            let signed = self
                .sign_payload(&trust, profile, &row.payload, &row.requested.identity)
                .await?;
            let signed = match signed {
                Ok(made) => made.signed,
                Err(why) => return self.not_signed(row, why).await,
            };
            let signed = match row.supersedes {
                Some(_) => self.superseding(signed, &trust, &row.requested.identity, row.pae, row.id)?,
                None => signed,
            };
            match self.store.store_signature(row.id, signed).await? {
                SignatureStored::Done => return Ok(Tried::Signed),
                SignatureStored::KeyMoved | SignatureStored::HeadMoved => {}
                SignatureStored::AlreadySigned | SignatureStored::NotFound => return Ok(Tried::Settled),
            }
        }
        self.not_signed(row, NoSignature::contended()).await
    }

    async fn not_signed(&self, row: &AttestationRow, why: NoSignature) -> Result<Tried> {
        if !why.attempted {
            return Ok(Tried::Refused(why));
        }
        let attempt = self.attempt(&why, row.attempts.count, self.now());
        self.store.note_attempt(row.id, attempt).await?;
        self.log_no_signature(&why, &row.id.to_string(), &row.requested.identity)
            .await;
        Ok(Tried::Refused(why))
    }

    /// Whether whoever asked still may. A token that has merely expired since
    /// does not undo what it asked for in its time; a revoked one does.
    async fn requester_still_may(
        &self,
        row: &AttestationRow,
        draft: &Draft,
        profile: &ProfileName,
    ) -> Result<std::result::Result<(), String>> {
        let Ok(caller) = serde_json::from_value::<Caller>(row.requested.authority.clone()) else {
            return Ok(Err("held: the requester's authority cannot be read".to_owned()));
        };
        if let Err(e) = caller.may_sign(&draft.statement, &draft.kind, profile) {
            return Ok(Err(format!("held: {}", e.message)));
        }
        let Some(token) = caller.token else {
            return Ok(Ok(()));
        };
        let rows = self.store.tokens().await?;
        Ok(match rows.iter().find(|t| t.id == token) {
            Some(token) if token.revoked_at.is_none() => Ok(()),
            Some(token) => Err(format!("held: the requester's token {} was revoked", token.name)),
            None => Err("held: the requester's token is unknown".to_owned()),
        })
    }

    /// How many of those that wait were withdrawn meanwhile, among the newest
    /// `limits.maxList` of each state.
    pub(crate) async fn withdrawn_unsigned(&self, trust: &TrustState) -> Result<u64> {
        let mut number = 0;
        if trust.withdrawn.is_empty() {
            return Ok(number);
        }
        for state in [AttestationState::Recorded, AttestationState::Failed] {
            let filter = AttestationFilter {
                state: Some(state),
                limit: self.settings.limits.max_list,
                ..AttestationFilter::default()
            };
            let rows = self.store.list_attestations(filter).await?;
            number += rows
                .iter()
                .map(|row| u64::from(trust.withdrawn.contains_key(&row.pae)))
                .sum::<u64>();
        }
        Ok(number)
    }

    /// All that are in one of these states and were not withdrawn, oldest
    /// first.
    async fn unsigned(&self, states: &[AttestationState]) -> Result<Vec<AttestationRow>> {
        let page = self.settings.limits.max_list;
        let mut out = Vec::new();
        for &state in states {
            let mut before = None;
            loop {
                let filter = AttestationFilter {
                    state: Some(state),
                    before,
                    limit: page,
                    ..AttestationFilter::default()
                };
                let rows = self.store.list_attestations(filter).await?;
                let full = rows.len() == page;
                before = rows.last().map(|r| r.id);
                out.extend(rows);
                if !full {
                    break;
                }
            }
        }
        let trust = self.trust_head().await?;
        out.retain(|row| !trust.withdrawn.contains_key(&row.pae));
        out.sort_by_key(|r| r.id);
        Ok(out)
    }
}

fn last_attempt(row: &AttestationRow) -> Timestamp {
    row.attempts.last_at.unwrap_or(row.created_at)
}
