//! Unsigned records, oldest first: the queue's rounds, and `attest retry`.
//! Each is claimed before it is signed, so that of many replicas one signs it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::Deserialize as _;
use stella_core::api::attestations::{Retried, Retry};
use stella_core::id::{AttestationId, ProfileName};
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_store::{
    Attempt, AttemptNoted, AttestationFilter, AttestationRow, AttestationState, Claimed, Claiming,
    SignatureStored, Waiting, WaitingFilter,
};

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
    /// Somebody else signed it meanwhile, or took the claim over.
    Settled,
}

/// Which records are worked on.
#[derive(Clone)]
struct Round {
    states: Vec<AttestationState>,
    /// Only what is due by then.
    due_by: Option<Timestamp>,
    /// Only what was last tried since then.
    since: Option<Timestamp>,
}

type GoOn<'a> = &'a (dyn Fn() -> bool + Sync);

impl App {
    /// Failed and held ones as well: "failed" means every record without a
    /// signature. Authority is checked again, the requester's, not the caller's.
    pub async fn retry_attestations(&self, request: Retry) -> Result<Retried> {
        let now = self.now();
        let every = [
            AttestationState::Recorded,
            AttestationState::Failed,
            AttestationState::Held,
        ];
        let round = Round {
            states: every.to_vec(),
            due_by: None,
            since: request
                .last_seconds
                .map(|s| now.saturating_sub(Duration::from_secs(s))),
        };
        self.work_on(round, &|| true).await
    }

    /// One round of the background queue: what is due by now.
    pub async fn sign_due(&self) -> Result<Retried> {
        self.sign_due_while(&|| true).await
    }

    /// As long as it may go on.
    pub async fn sign_due_while(&self, go_on: GoOn<'_>) -> Result<Retried> {
        let round = Round {
            states: vec![AttestationState::Recorded],
            due_by: Some(self.now()),
            since: None,
        };
        self.work_on(round, go_on).await
    }

    /// A store answers again: whatever waits for it is signed at once, however
    /// late its next attempt was to be.
    pub async fn sign_waiting_while(&self, go_on: GoOn<'_>) -> Result<Retried> {
        let round = Round {
            states: vec![AttestationState::Recorded],
            due_by: None,
            since: None,
        };
        self.work_on(round, go_on).await
    }

    async fn work_on(&self, round: Round, go_on: GoOn<'_>) -> Result<Retried> {
        let mut answer = Retried {
            tried: 0,
            signed: 0,
            still_unsigned: 0,
            left_out: 0,
            errors: Vec::new(),
        };
        // A backend that is down costs the other records no attempt.
        let mut down: BTreeSet<ProfileName> = BTreeSet::new();
        let mut after = None;
        while go_on() {
            let filter = WaitingFilter {
                states: round.states.clone(),
                due_by: round.due_by,
                after,
                now: self.now(),
                limit: self.settings.limits.max_list,
            };
            let found = self.store.waiting(filter).await?;
            let Some(last) = found.last() else {
                break;
            };
            after = Some(last.id);
            let trust = self.trust_head().await?;
            let mut wanted = VecDeque::new();
            for record in found {
                if trust.withdrawn.contains_key(&record.pae) {
                    continue;
                }
                if round.since.is_some_and(|since| last_attempt(&record) < since) {
                    answer.left_out += 1;
                } else if is_down(&down, record.profile.as_ref()) {
                    answer.still_unsigned += 1;
                } else {
                    wanted.push_back(record.id);
                }
            }
            while !wanted.is_empty() && go_on() {
                self.sign_some(&round, &trust, &mut wanted, &mut down, &mut answer, go_on)
                    .await?;
            }
        }
        Ok(answer)
    }

    /// As many as are claimed at once, one after the other, so that a store
    /// with several signers has room for those who ask now. What there was no time for is wanted
    /// still; every claim that was not made use of is given back.
    async fn sign_some(
        &self,
        round: &Round,
        trust: &TrustState,
        wanted: &mut VecDeque<AttestationId>,
        down: &mut BTreeSet<ProfileName>,
        answer: &mut Retried,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let at_once = self.settings.signing.claim_batch.max(1).min(wanted.len());
        let now = self.now();
        let until = now.saturating_add(self.claim_lifetime());
        let claiming = Claiming {
            attestations: wanted.drain(..at_once).collect(),
            states: round.states.clone(),
            due_by: round.due_by,
            replica: self.replica.name.clone(),
            now,
            until,
        };
        let (mut unused, mut outcome) = (Vec::new(), Ok(()));
        for held in self.store.claim(claiming).await? {
            if let Some(profile) = held
                .row
                .profile
                .as_ref()
                .filter(|p| outcome.is_ok() && !down.contains(p))
            {
                self.queue_turn(trust, profile).await;
            }
            if outcome.is_err() || !go_on() {
                unused.push(held.claim);
            } else if is_down(down, held.row.profile.as_ref()) {
                answer.still_unsigned += 1;
                unused.push(held.claim);
            } else if self.now().saturating_add(self.settings.signing.deadline) > until {
                wanted.push_back(held.row.id);
                unused.push(held.claim);
            } else {
                answer.tried += 1;
                match self.sign_one(&held).await {
                    Ok(tried) => note(answer, down, &held, tried),
                    Err(e) => {
                        unused.push(held.claim);
                        outcome = Err(e);
                    }
                }
            }
        }
        if !unused.is_empty() {
            let given_back = self.store.release(unused).await;
            // Of two failures the first; the claims run out by themselves.
            outcome = outcome.and(given_back.map_err(Into::into));
        }
        outcome
    }

    /// Never so short that it could run out under one signature.
    fn claim_lifetime(&self) -> Duration {
        let signing = &self.settings.signing;
        signing.claim_lifetime.max(signing.deadline.saturating_mul(2))
    }

    async fn sign_one(&self, held: &Claimed) -> Result<Tried> {
        let row = &held.row;
        let Some(profile) = &row.profile else {
            self.store.release(vec![held.claim]).await?;
            return Ok(Tried::Settled);
        };
        let draft = match Draft::of(self, row.payload.clone()) {
            Ok(draft) => draft,
            // The bounds were tightened since; the record is set aside, not lost.
            Err(e) => return self.not_signed(held, NoSignature::unreadable(&e)).await,
        };
        if let Err(why) = self.requester_still_may(row, &draft, profile).await? {
            let attempt = Attempt {
                state: AttestationState::Held,
                error: why.clone(),
                at: self.now(),
                next_at: None,
            };
            return Ok(match self.store.note_attempt(held.claim, attempt).await? {
                AttemptNoted::Done => Tried::Held(why),
                AttemptNoted::ClaimLost => Tried::Settled,
            });
        }
        for _ in 0..MAX_TRIES {
            let trust = self.trust_head().await?;
            let signed = self
                .sign_payload(&trust, profile, &row.payload, &row.requested.identity)
                .await?;
            let signed = match signed {
                Ok(made) => made.signed,
                Err(why) => return self.not_signed(held, why).await,
            };
            let signed = match row.supersedes {
                Some(_) => self.superseding(signed, &trust, &row.requested.identity, row.pae, row.id)?,
                None => signed,
            };
            match self.store.store_signature(held.claim, signed).await? {
                SignatureStored::Done => return Ok(Tried::Signed),
                SignatureStored::KeyMoved | SignatureStored::HeadMoved => {}
                SignatureStored::AlreadySigned | SignatureStored::NotFound | SignatureStored::ClaimLost => {
                    return Ok(Tried::Settled);
                }
            }
        }
        self.not_signed(held, NoSignature::contended()).await
    }

    async fn not_signed(&self, held: &Claimed, why: NoSignature) -> Result<Tried> {
        let row = &held.row;
        if !why.attempted {
            self.store.release(vec![held.claim]).await?;
            return Ok(Tried::Refused(why));
        }
        let attempt = self.attempt(&why, row.attempts.count, self.now());
        if self.store.note_attempt(held.claim, attempt).await? == AttemptNoted::ClaimLost {
            return Ok(Tried::Settled);
        }
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
        let Ok(caller) = Caller::deserialize(&*row.requested.authority) else {
            return Ok(Err("held: the requester's authority cannot be read".to_owned()));
        };
        if let Err(e) = caller.may_sign(&draft.names, &draft.kind, profile) {
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
}

fn note(answer: &mut Retried, down: &mut BTreeSet<ProfileName>, held: &Claimed, tried: Tried) {
    let id = held.row.id;
    match tried {
        Tried::Signed => answer.signed += 1,
        Tried::Settled => {}
        Tried::Held(why) => {
            answer.still_unsigned += 1;
            answer.errors.push(format!("{id}: {why}"));
        }
        Tried::Refused(why) => {
            answer.still_unsigned += 1;
            answer
                .errors
                .push(format!("{id}: {} (next: {})", why.reason, why.next));
            if why.retry != stella_keys::Retry::Never {
                down.extend(held.row.profile.clone());
            }
        }
    }
}

fn is_down(down: &BTreeSet<ProfileName>, profile: Option<&ProfileName>) -> bool {
    profile.is_some_and(|profile| down.contains(profile))
}

fn last_attempt(record: &Waiting) -> Timestamp {
    record.last_attempt_at.unwrap_or(record.created_at)
}
