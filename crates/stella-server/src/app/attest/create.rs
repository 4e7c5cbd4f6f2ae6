//! `attest create`: recorded before it is acknowledged, signed if it can be.

use std::sync::Arc;

use stella_core::alg::Seen;
use stella_core::api::attestations::{Attestation, CreateAttestation, Created, WouldVerify};
use stella_core::digest::Sha256;
use stella_core::dsse::IN_TOTO_PAYLOAD_TYPE;
use stella_core::id::{AttestationId, ProfileName};
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_core::verify::Verdict;
use stella_keys::Retry;
use stella_store::{
    Attempts, AttestationRow, AttestationState, IdempotencyRow, Inserted, NewAttestation, Outcome, Requested,
    SignedPart,
};

use super::sign::{MAX_TRIES, MAX_TRIES_WITH_EVENT, Made, NoSignature, RETRY};
use super::statement::Draft;
use super::view;
use crate::app::error::{Error, ErrorKind, Result};
use crate::app::tokens::Remembered;
use crate::app::verify::evidence::KnownSignature;
use crate::app::verify::{Judged, judge_silently};
use crate::app::{App, Caller, signers, values};
use crate::entropy;

/// What the idempotency key is bound to besides the content.
const ROUTE: &str = "POST /v1/attestations";

#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    pub idempotency_key: Option<String>,
    pub wait: Wait,
    /// Of the caller, if from memory: then the commit proves that the token
    /// is still good.
    pub remembered: Option<Remembered>,
}

/// On what a statement is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// What the store says now.
    Store,
    /// What is remembered. The commit proves that nothing happened since, or
    /// it is decided anew; the caller's token is good as of this head.
    Memory(Option<u64>),
}

/// How long the answer is held. Whatever it is, nothing is answered before it
/// is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: the queue signs it.
    Recorded,
    Signed,
    /// Until the log has it, too.
    #[default]
    Logged,
}

impl Wait {
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "recorded" => Ok(Self::Recorded),
            "signed" => Ok(Self::Signed),
            "logged" => Ok(Self::Logged),
            other => Err(Error::invalid(
                "wait.unknown",
                format!("{other:?} is nothing to wait for: use recorded, signed or logged"),
            )),
        }
    }
}

/// What is to be stored, once for each profile.
pub(super) struct Order<'a> {
    pub id: AttestationId,
    pub draft: &'a Draft,
    pub profile: &'a ProfileName,
    pub caller: &'a Caller,
    /// Kept with the attestation and checked again before a late signature.
    pub authority: Arc<serde_json::Value>,
    pub supersedes: Option<AttestationId>,
    pub idempotency: Option<IdempotencyRow>,
    pub wait: Wait,
    pub basis: Basis,
    /// Only if nothing is stored about the same statement.
    pub first: bool,
}

pub(super) enum Placed {
    Stored(Option<NoSignature>),
    Signed(Box<SignedNow>),
    /// Not the first of its statement, or not signed: nothing was stored.
    NotFirst,
    /// The idempotency key was used before, or just now by somebody else.
    Repeated(IdempotencyRow),
}

/// What was stored, with the state it was signed on.
pub(super) struct SignedNow {
    new: Arc<NewAttestation>,
    trust: Arc<TrustState>,
    seen: Seen,
}

/// What is stored about the same statement.
enum Earlier {
    Equal(Box<Attestation>),
    Other,
    Nothing,
}

impl App {
    pub async fn create_attestation(
        &self,
        caller: &Caller,
        request: CreateAttestation,
        options: CreateOptions,
    ) -> Result<Created> {
        let draft = self.draft(&request).await?;
        let profiles = self.profiles(&request.profiles)?;
        for profile in &profiles {
            caller.may_sign(&draft.names, &draft.kind, profile)?;
        }
        let idempotency = match options.idempotency_key {
            Some(key) => Some(self.idempotency(caller, key, &draft, &profiles)?),
            None => None,
        };
        if let Some(mine) = &idempotency
            && let Some(earlier) = self.store.idempotent(&mine.identity, &mine.key).await?
        {
            self.not_revoked_since(caller).await?;
            return self
                .again(caller, &draft, &profiles, mine, earlier, options.wait)
                .await;
        }
        let ids = match &idempotency {
            Some(row) => row.attestations.clone(),
            None => self.fresh_ids(profiles.len())?,
        };
        let anew = request.force.unwrap_or(idempotency.is_some());
        let reuse = !anew && !draft.kind.is_test();
        let known_at = options.remembered.as_ref().map(|known| known.head);
        let authority = match options.remembered {
            Some(known) => known.authority,
            None => caller.kept()?,
        };
        let mut answers = Vec::with_capacity(profiles.len());
        for (index, (profile, id)) in profiles.iter().zip(ids).enumerate() {
            let order = |first| Order {
                id,
                draft: &draft,
                profile,
                caller,
                authority: Arc::clone(&authority),
                supersedes: None,
                // The first carries the key for all, so that a repetition
                // after a crash finds which ids were promised.
                idempotency: idempotency.clone().filter(|_| index == 0),
                wait: options.wait,
                basis: Basis::Memory(known_at),
                first,
            };
            let mut first = reuse && self.looks_last(&profiles, options.wait);
            let mut placed = Placed::NotFirst;
            if first {
                placed = self.place_promised(order(true)).await?;
            }
            if let Placed::NotFirst = placed {
                if reuse {
                    match self.equal(caller, &draft, profile).await? {
                        Earlier::Equal(answer) => {
                            answers.push(*answer);
                            continue;
                        }
                        Earlier::Other => first = false,
                        Earlier::Nothing => first = true,
                    }
                }
                placed = self.place_promised(order(false)).await?;
            }
            match placed {
                Placed::Signed(made) if first => answers.push(self.answer_first(&draft, *made)?),
                Placed::Signed(_) => answers.push(self.answer(id, None).await?),
                Placed::Stored(why) => answers.push(self.answer(id, why).await?),
                Placed::NotFirst => return Err(Error::internal("it had not to be the first")),
                Placed::Repeated(earlier) => {
                    let mine = idempotency
                        .as_ref()
                        .ok_or_else(|| Error::internal("repeated without an idempotency key"))?;
                    return self
                        .again(caller, &draft, &profiles, mine, earlier, options.wait)
                        .await;
                }
            }
        }
        created(answers)
    }

    /// Signs and stores, or stores why not. Nothing is answered before the
    /// commit is durable.
    pub(super) async fn place(&self, order: Order<'_>) -> Result<Placed> {
        if order.wait == Wait::Recorded {
            if order.basis != Basis::Store {
                self.not_revoked_since(order.caller).await?;
            }
            let now = self.now();
            let next_at = self.repeats_by_itself().then_some(now);
            let placed = self.record(&order, now, Outcome::Queued { next_at }, None).await;
            self.queued.notify_one();
            return placed;
        }
        let identity = &order.caller.identity;
        let mut remembered = match order.basis {
            Basis::Store => None,
            Basis::Memory(known_at) => {
                let known = self.trust.last_known();
                Some(known).filter(|known| known_at.is_none_or(|head| head == known.head))
            }
        };
        let tries = match order.supersedes {
            Some(_) => MAX_TRIES_WITH_EVENT,
            None => MAX_TRIES,
        };
        for _ in 0..tries {
            let (trust, expected_head) = match remembered.take() {
                Some(known) => (Arc::clone(&known), Some(known.head)),
                None => (self.trust_for(&order).await?, None),
            };
            let now = self.not_before(&trust);
            let signed = self
                .sign_payload(&trust, order.profile, &order.draft.payload, identity)
                .await?;
            let Made { signed, seen } = match signed {
                Ok(made) => made,
                Err(_) if order.first => return Ok(Placed::NotFirst),
                Err(why) => {
                    // Perhaps because of what is not so any more.
                    if expected_head.is_some() && self.trust_for(&order).await?.head != trust.head {
                        continue;
                    }
                    let unsigned = self.unsigned_outcome(&why, self.not_before(&trust));
                    return self.record(&order, now, unsigned, Some(why)).await;
                }
            };
            let signed = match order.supersedes {
                Some(_) => self.superseding(signed, &trust, identity, order.draft.pae, order.id)?,
                None => signed,
            };
            let new = Arc::new(NewAttestation {
                expected_head,
                ..row(&order, now, Outcome::Signed(signed))
            });
            match self.store.insert_attestation(Arc::clone(&new)).await? {
                Inserted::Done => return Ok(Placed::Signed(Box::new(SignedNow { new, trust, seen }))),
                Inserted::Known => return Ok(Placed::NotFirst),
                Inserted::Repeated(earlier) => return Ok(Placed::Repeated(earlier)),
                Inserted::KeyMoved | Inserted::HeadMoved => {}
            }
        }
        if order.first {
            return Ok(Placed::NotFirst);
        }
        let why = NoSignature::contended();
        let now = self.now();
        let unsigned = self.unsigned_outcome(&why, now);
        self.record(&order, now, unsigned, Some(why)).await
    }

    /// As the store has it now, and the caller's token as well.
    async fn trust_for(&self, order: &Order<'_>) -> Result<Arc<TrustState>> {
        let trust = self.trust_head().await?;
        if order.basis != Basis::Store {
            self.not_revoked_since(order.caller).await?;
        }
        Ok(trust)
    }

    /// Where nobody was asked, it was no attempt.
    fn unsigned_outcome(&self, why: &NoSignature, now: Timestamp) -> Outcome {
        let attempt = self.attempt(why, 0, now);
        if why.attempted {
            Outcome::Recorded(attempt)
        } else {
            Outcome::Queued {
                next_at: attempt.next_at,
            }
        }
    }

    /// Durable without a signature.
    async fn record(
        &self,
        order: &Order<'_>,
        now: Timestamp,
        unsigned: Outcome,
        why: Option<NoSignature>,
    ) -> Result<Placed> {
        let new = row(order, now, unsigned).into();
        match self.store.insert_attestation(new).await? {
            Inserted::Done => {}
            Inserted::Repeated(earlier) => return Ok(Placed::Repeated(earlier)),
            moved => return Err(Error::internal(format!("a record answered {moved:?}"))),
        }
        if let Some(why) = &why {
            self.log_no_signature(why, &order.id.to_string(), &order.caller.identity)
                .await;
        }
        Ok(Placed::Stored(why))
    }

    /// Under an id that an idempotency key promised: a request that repeats
    /// it at the same time may be the one that stores it.
    async fn place_promised(&self, order: Order<'_>) -> Result<Placed> {
        let id = order.id;
        match self.place(order).await {
            Err(e) if self.store.attestation(id).await?.is_none() => Err(e),
            Err(_) => Ok(Placed::Stored(None)),
            placed => placed,
        }
    }

    /// As [`answer`](Self::answer) would say it of a statement of which nothing
    /// was known before, without asking the store for what was just stored.
    fn answer_first(&self, draft: &Draft, made: SignedNow) -> Result<Attestation> {
        let SignedNow { new, trust, seen } = made;
        let new = Arc::unwrap_or_clone(new);
        let Outcome::Signed(signed) = new.outcome else {
            return Err(Error::internal("what was signed has no signature"));
        };
        let known = vec![KnownSignature::made_here(&signed, &seen, &new.requested.identity)];
        let row = AttestationRow {
            signed: Some(SignedPart {
                envelope: signed.envelope,
                key_id: signed.by.map(|by| by.key_id),
                recorded_at: signed.recorded_at,
            }),
            state: AttestationState::Signed,
            id: new.id,
            pae: new.pae,
            payload_type: new.payload_type,
            payload: new.payload,
            predicate_type: new.predicate_type,
            subjects: new.subjects,
            profile: new.profile,
            requested: new.requested,
            created_at: new.created_at,
            attempts: Attempts::default(),
            supersedes: new.supersedes,
            imported: new.imported,
        };
        let mut answer = view(&row, &trust);
        let question = self.question_now(trust);
        let budget = &mut question.budget().having(&seen);
        let judged = judge_silently(&question, &row, draft, known, budget);
        add_verdict(&mut answer, &row, &judged);
        Ok(answer)
    }

    /// The stored attestation, and how it would be judged right now.
    pub(super) async fn answer(&self, id: AttestationId, why: Option<NoSignature>) -> Result<Attestation> {
        let row = self
            .store
            .attestation(id)
            .await?
            .ok_or_else(|| Error::internal(format!("{id} was stored and is not there")))?;
        let trust = self.trust_head().await?;
        let mut answer = view(&row, &trust);
        if row.signed.is_none() {
            answer.next = Some(self.mending(why.as_ref(), &row));
            answer.last_error = answer.last_error.or(why.map(|why| why.reason));
            return Ok(answer);
        }
        let judged = self.judge_stored(&self.question_now(trust), &row).await?;
        add_verdict(&mut answer, &row, &judged);
        Ok(answer)
    }

    fn mending(&self, why: Option<&NoSignature>, row: &AttestationRow) -> String {
        let embedded = row.attempts.next_at.is_none() && !self.repeats_by_itself();
        match why {
            // It is signed by nobody, however often it is tried.
            Some(why) if why.retry == Retry::Never => why.next.clone(),
            None if row.attempts.count == 0 && !embedded => format!("stella attest wait {}", row.id),
            Some(why) if !why.next.contains(RETRY) => format!("{}, then {RETRY}", why.next),
            Some(why) if why.next != RETRY => why.next.clone(),
            _ if embedded => format!("{RETRY}, or stella serve, which keeps trying"),
            _ => RETRY.to_owned(),
        }
    }

    /// Whether an equal attestation is looked for in the commit alone: where a
    /// signature costs less than the look. Who signs in a token or in a KMS
    /// looks before it is asked.
    fn looks_last(&self, profiles: &[ProfileName], wait: Wait) -> bool {
        let [profile] = profiles else {
            return false;
        };
        let trust = self.trust.last_known();
        let active = trust.active_key(profile, self.not_before(&trust));
        wait != Wait::Recorded
            && active
                .and_then(|key| key.stores().next())
                .is_some_and(|store| signers::scheme(store) == "software")
    }

    /// An equal attestation by the key that would sign now, still good.
    async fn equal(&self, caller: &Caller, draft: &Draft, profile: &ProfileName) -> Result<Earlier> {
        let rows = self.store.attestations_by_pae(&draft.pae).await?;
        if rows.is_empty() {
            return Ok(Earlier::Nothing);
        }
        let trust = self.trust_head().await?;
        self.not_revoked_since(caller).await?;
        let Ok(active) = self.active(&trust, profile) else {
            return Ok(Earlier::Other);
        };
        let by_active = |row: &&AttestationRow| {
            row.profile.as_ref() == Some(profile)
                && row.requested.identity == caller.identity
                && row.signed.as_ref().and_then(|s| s.key_id.as_ref()) == Some(&active.id)
        };
        let Some(row) = rows.iter().filter(by_active).max_by_key(|r| r.id) else {
            return Ok(Earlier::Other);
        };
        let judged = self.judge_stored(&self.question_now(trust), row).await?;
        if judged.verdict != Verdict::Pass {
            return Ok(Earlier::Other);
        }
        let mut answer = self.answer(row.id, None).await?;
        answer.repeated = true;
        Ok(Earlier::Equal(Box::new(answer)))
    }

    fn idempotency(
        &self,
        caller: &Caller,
        key: String,
        draft: &Draft,
        profiles: &[ProfileName],
    ) -> Result<IdempotencyRow> {
        if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid(
                "idempotency.key",
                format!("an Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters without spaces"),
            ));
        }
        let names: Vec<_> = profiles.iter().map(ProfileName::as_str).collect();
        Ok(IdempotencyRow {
            identity: caller.identity.clone(),
            key,
            request: Sha256::of_parts(&[
                ROUTE.as_bytes(),
                b"\0",
                names.join(",").as_bytes(),
                b"\0",
                &draft.payload,
            ]),
            attestations: self.fresh_ids(profiles.len())?,
            at: self.now(),
        })
    }

    /// The same request again: the same answer. What a crash left out is made up.
    async fn again(
        &self,
        caller: &Caller,
        draft: &Draft,
        profiles: &[ProfileName],
        mine: &IdempotencyRow,
        earlier: IdempotencyRow,
        wait: Wait,
    ) -> Result<Created> {
        if earlier.request != mine.request {
            return Err(Error::new(
                ErrorKind::Refused,
                "idempotency.mismatch",
                "this Idempotency-Key was used for another request",
            )
            .next("repeat with a new key"));
        }
        let mut answers = Vec::with_capacity(profiles.len());
        for (profile, id) in profiles.iter().zip(earlier.attestations) {
            let mut why = None;
            if self.store.attestation(id).await?.is_none() {
                let order = Order {
                    id,
                    draft,
                    profile,
                    caller,
                    authority: caller.kept()?,
                    supersedes: None,
                    idempotency: None,
                    wait,
                    basis: Basis::Store,
                    first: false,
                };
                if let Placed::Stored(reason) = self.place_promised(order).await? {
                    why = reason;
                }
            }
            let mut answer = self.answer(id, why).await?;
            answer.repeated = true;
            answers.push(answer);
        }
        created(answers)
    }

    /// Known ones, each once, in the order asked; `default` when none is named.
    fn profiles(&self, asked: &[String]) -> Result<Vec<ProfileName>> {
        let default = ["default".to_owned()];
        let asked = if asked.is_empty() { &default[..] } else { asked };
        let mut out = Vec::new();
        for name in asked {
            let name = self.known_profile(name)?;
            if !out.contains(&name) {
                out.push(name);
            }
        }
        Ok(out)
    }

    pub(crate) fn known_profile(&self, name: &str) -> Result<ProfileName> {
        let name = values::profile(name)?;
        if self.settings.profiles.contains_key(&name) {
            return Ok(name);
        }
        let known: Vec<_> = self.settings.profiles.keys().map(ProfileName::as_str).collect();
        Err(Error::not_found(
            "profile.unknown",
            format!("no profile named {name}; there are {}", known.join(", ")),
        )
        .next("stella config list"))
    }

    fn fresh_ids(&self, count: usize) -> Result<Vec<AttestationId>> {
        let now = self.now();
        (0..count).map(|_| self.fresh_id(now)).collect()
    }

    /// Ids order by the moment they are given (UUIDv7).
    pub(super) fn fresh_id(&self, at: Timestamp) -> Result<AttestationId> {
        Ok(AttestationId::new(at, entropy::id_bytes(self.entropy.as_ref())?))
    }
}

const MAX_KEY: usize = 255;

fn row(order: &Order<'_>, now: Timestamp, outcome: Outcome) -> NewAttestation {
    NewAttestation {
        id: order.id,
        pae: order.draft.pae,
        payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
        payload: order.draft.payload.clone(),
        predicate_type: order.draft.kind.as_uri().to_owned(),
        subjects: order.draft.subjects.clone(),
        profile: Some(order.profile.clone()),
        requested: Requested {
            identity: order.caller.identity.clone(),
            token: order.caller.token,
            authority: Arc::clone(&order.authority),
        },
        created_at: now,
        supersedes: order.supersedes,
        imported: false,
        outcome,
        idempotency: order.idempotency.clone(),
        expected_head: None,
        first: order.first,
    }
}

fn add_verdict(answer: &mut Attestation, row: &AttestationRow, judged: &Judged) {
    answer.would_verify = Some(WouldVerify {
        verdict: judged.verdict.to_string(),
        code: judged.code.to_string(),
        anchor_id: judged.anchor_id.map(|a| a.to_string()),
    });
    if judged.verdict != Verdict::Pass {
        answer.warnings.push(format!(
            "it would not verify: {} ({}): {}",
            judged.verdict,
            judged.code,
            judged.code.meaning()
        ));
        let subject = judged.deciding().map(|p| p.subject.as_str()).unwrap_or("NAME");
        answer.next = Some(match judged.anchor_id {
            None => format!("stella anchor explain {subject}"),
            Some(_) => format!("stella verify attestation --attestation {}", row.id),
        });
    }
}

fn created(attestations: Vec<Attestation>) -> Result<Created> {
    let id = attestations
        .first()
        .map(|a| a.id.clone())
        .ok_or_else(|| Error::internal("nothing was created"))?;
    Ok(Created { id, attestations })
}
