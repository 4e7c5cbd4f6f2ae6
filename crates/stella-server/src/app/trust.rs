//! The trust state in memory, kept at the head of the event log, and the one
//! way to change it.

use std::sync::{Arc, PoisonError, RwLock};

use stella_core::id::EventId;
use stella_core::time::Timestamp;
use stella_core::trust::decide::Refusal;
use stella_core::trust::state::Corrupt;
use stella_core::trust::{Event, EventBody, TrustState};
use stella_store::{Append, Appended, SealedKeyRow, Store, StoreError, TokenChange};
use tokio::sync::Mutex;

use crate::app::error::{Error, Result};
use crate::app::{App, Caller};
use crate::entropy;

/// How many events are read at a time.
const PAGE: usize = 10_000;

/// How often a change is decided anew when others change the state meanwhile.
const MAX_TRIES: usize = 50;

#[derive(Default)]
pub struct Trust {
    known: RwLock<Arc<TrustState>>,
    /// Held by the one who folds what is new.
    folding: Mutex<()>,
}

/// What a decision wants recorded, with what it found out on the way.
pub struct Decision<T> {
    pub events: Vec<EventBody>,
    pub sealed_keys: Vec<SealedKeyRow>,
    pub tokens: Vec<TokenChange>,
    pub answer: T,
}

impl<T> Decision<T> {
    pub fn new(events: Vec<EventBody>, answer: T) -> Self {
        Self {
            events,
            sealed_keys: Vec::new(),
            tokens: Vec::new(),
            answer,
        }
    }
}

impl Trust {
    /// The state at the head of the log, as of this call: changes made by
    /// other processes on the same store are seen.
    pub async fn head(&self, store: &dyn Store) -> Result<Arc<TrustState>> {
        // Mostly there is nothing new, and nobody waits for anybody.
        let known = self.known();
        if store.events_after(known.head, 1).await?.is_empty() {
            return Ok(known);
        }
        let _turn = self.folding.lock().await;
        loop {
            let known = self.known();
            let events = store.events_after(known.head, PAGE).await?;
            if events.is_empty() {
                return Ok(known);
            }
            let mut state = TrustState::clone(&known);
            for event in &events {
                state.apply(event).map_err(corrupt)?;
            }
            self.learn(&Arc::new(state));
        }
    }

    /// What this process has just appended: whoever signs from memory signs
    /// by it at once, and not in vain by what was before.
    fn learn(&self, after: &Arc<TrustState>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.head < after.head {
            *known = Arc::clone(after);
        }
    }

    /// As it was when somebody last asked for the head, or changed it here.
    pub(crate) fn last_known(&self) -> Arc<TrustState> {
        self.known()
    }

    fn known(&self) -> Arc<TrustState> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The state as this server knew it at an earlier moment.
    pub async fn as_of(&self, store: &dyn Store, moment: Timestamp) -> Result<Arc<TrustState>> {
        let mut state = TrustState::default();
        loop {
            let events = store.events_after(state.head, PAGE).await?;
            let more = state.catch_up(&events, moment).map_err(corrupt)?;
            if !more || events.len() < PAGE {
                return Ok(Arc::new(state));
            }
        }
    }
}

fn corrupt(why: Corrupt) -> Error {
    Error::new(crate::app::ErrorKind::Internal, "store.corrupt", why.to_string()).next("stella db verify")
}

impl App {
    pub async fn trust_head(&self) -> Result<Arc<TrustState>> {
        self.trust.head(self.store.as_ref()).await
    }

    /// Decides on the state at the head and appends what was decided, again
    /// and again until nobody else got in between. `decide` may run several
    /// times and must have no effect outside.
    pub async fn change<T>(
        &self,
        caller: &Caller,
        mut decide: impl FnMut(&TrustState, Timestamp) -> std::result::Result<Decision<T>, Refusal>,
    ) -> Result<(T, Arc<TrustState>)> {
        for _ in 0..MAX_TRIES {
            let state = self.trust_head().await?;
            // Behind the head: a revocation that comes after this look moves it.
            self.not_revoked_since(caller).await?;
            let now = self.not_before(&state);
            let decision = decide(&state, now)?;
            if decision.events.is_empty() && decision.sealed_keys.is_empty() && decision.tokens.is_empty() {
                return Ok((decision.answer, state));
            }
            let append = self.on_top(&state, &caller.identity, now, decision.events)?;
            let after = Arc::clone(&append.state);
            let appended = self
                .store
                .append(append, decision.sealed_keys, decision.tokens)
                .await
                .map_err(unheard)?;
            match appended {
                Appended::Done => {
                    self.trust.learn(&after);
                    return Ok((decision.answer, after));
                }
                Appended::HeadMoved { .. } => {}
            }
        }
        Err(Error::unavailable(
            "store.contended",
            "others kept changing the same state; nothing was done",
        )
        .next("repeat the command"))
    }

    /// What was decided on this state, by whom and when, as it is to be stored.
    pub(super) fn on_top(
        &self,
        state: &TrustState,
        actor: &str,
        now: Timestamp,
        bodies: Vec<EventBody>,
    ) -> Result<Append> {
        let mut after = TrustState::clone(state);
        let mut events = Vec::with_capacity(bodies.len());
        for body in bodies {
            let event = Event {
                sequence: after.head + 1,
                id: EventId::new(now, entropy::id_bytes(self.entropy.as_ref())?),
                recorded_at: now,
                actor: actor.to_owned(),
                body,
            };
            after
                .apply(&event)
                .map_err(|why| Error::internal(format!("a decision broke the rules: {why}")))?;
            events.push(event);
        }
        Ok(Append::new(state.head, events, Arc::new(after)))
    }
}

/// There is no idempotency key here to repeat it with.
fn unheard(error: StoreError) -> Error {
    let unknown = matches!(error, StoreError::Unknown(_));
    let error = Error::from(error);
    if unknown {
        error.next("stella audit query shows whether it was done; repeat it if it was not")
    } else {
        error
    }
}
