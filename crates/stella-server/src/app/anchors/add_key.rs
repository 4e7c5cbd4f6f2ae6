//! `anchor add-key`: a known key, or somebody else's with its public half.

use stella_core::alg::PublicKey;
use stella_core::api::anchors::{AddKey, KeyAddition};
use stella_core::id::{AnchorId, KeyId};
use stella_core::time::Timestamp;
use stella_core::trust::decide::anchor::{Scope, add_key, with_activation};
use stella_core::trust::decide::key::enter_external;
use stella_core::trust::decide::{Refusal, anchor::Addition};
use stella_core::trust::{EventBody, KeyRecord, KeyState, TrustState};

use super::must_sign_statements;
use crate::app::error::Result;
use crate::app::trust::Decision;
use crate::app::{App, Caller, keys, values};

impl App {
    pub async fn add_anchor_key(
        &self,
        caller: &Caller,
        anchor: &str,
        request: AddKey,
    ) -> Result<KeyAddition> {
        let head = self.trust_head().await?;
        let now = self.not_before(&head);
        let time = |text: Option<&str>, read: fn(&str, Timestamp) -> Result<Timestamp>| {
            text.filter(|t| !t.is_empty()).map(|t| read(t, now)).transpose()
        };
        let wish = Wish {
            scope: values::scope(&head, anchor)?,
            key_id: values::key_id(&request.keyid)?,
            public_key: keys::public_key(request.public_key.as_deref())?,
            // A bare date is the whole day.
            expires_at: time(request.expires_at.as_deref(), values::range_end)?,
            created_at: time(request.created_at.as_deref(), values::time)?,
            dry_run: request.dry_run,
        };
        if wish.dry_run {
            return Ok(self.decide_addition(&head, &wish, now)?.answer);
        }
        let (answer, _) = self
            .change(caller, |state, now| self.decide_addition(state, &wish, now))
            .await?;
        Ok(answer)
    }

    fn decide_addition(
        &self,
        state: &TrustState,
        wish: &Wish,
        now: Timestamp,
    ) -> std::result::Result<Decision<KeyAddition>, Refusal> {
        let mut with_key = None;
        let mut events = Vec::new();
        match (state.keys.get(&wish.key_id), &wish.public_key) {
            (Some(known), given) => agrees(known, given.as_ref(), wish.created_at)?,
            (None, Some(public)) => {
                events = enter_external(state, wish.key_id.clone(), public.clone(), wish.created_at, now)?;
                let mut entered = state.clone();
                entered
                    .preview(&events, now)
                    .map_err(|why| Refusal::conflict("key.contradiction", why.to_string()))?;
                with_key = Some(entered);
            }
            (None, None) => return Err(nobody_knows(&wish.key_id)),
        }
        let entered = with_key.as_ref().unwrap_or(state);
        must_sign_statements(entered, &wish.key_id)?;
        let addition = add_key(entered, &wish.scope, &wish.key_id, wish.expires_at, now)?;
        events.extend(addition.events.clone());
        if self.activates_on_trust(state) {
            events = with_activation(state, events, &wish.key_id, self.overlap(state), now);
        }
        let answer = answer(state, wish, &addition, &events, now);
        Ok(Decision::new(events, answer))
    }
}

struct Wish {
    scope: Scope,
    key_id: KeyId,
    public_key: Option<PublicKey>,
    expires_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    dry_run: bool,
}

fn answer(
    state: &TrustState,
    wish: &Wish,
    addition: &Addition,
    events: &[EventBody],
    now: Timestamp,
) -> KeyAddition {
    let texts = |ids: &[AnchorId]| ids.iter().map(ToString::to_string).collect();
    let activated = events
        .iter()
        .any(|e| matches!(e, EventBody::KeyActivated { key_id } if *key_id == wish.key_id));
    let outgoing = events.iter().find_map(|e| match e {
        EventBody::KeyRetiring { key_id, .. } => Some(key_id.to_string()),
        _ => None,
    });
    KeyAddition {
        key_id: wish.key_id.to_string(),
        added_to: texts(&addition.added_to),
        held_already: texts(&addition.held_already),
        activated,
        outgoing,
        lacking_anchors: if activated {
            Vec::new()
        } else {
            lacking(state, wish, addition, now)
        },
        dry_run: wish.dry_run,
    }
}

/// What a pending key still waits for.
fn lacking(state: &TrustState, wish: &Wish, addition: &Addition, now: Timestamp) -> Vec<String> {
    let outgoing = state
        .keys
        .get(&wish.key_id)
        .filter(|k| k.state(now) == KeyState::Pending)
        .and_then(|k| k.profile())
        .and_then(|profile| state.active_key(profile, now));
    let Some(outgoing) = outgoing else {
        return Vec::new();
    };
    state
        .anchors_holding(&outgoing.id)
        .filter(|a| !a.holds(&wish.key_id) && !addition.added_to.contains(&a.id))
        .map(|a| a.id.to_string())
        .collect()
}

/// What is said about a known key must be what is known.
fn agrees(
    known: &KeyRecord,
    given: Option<&PublicKey>,
    created_at: Option<Timestamp>,
) -> std::result::Result<(), Refusal> {
    let id = &known.id;
    if given.is_some_and(|given| *given != known.public_key) {
        return Err(Refusal::conflict(
            "key.other-public-key",
            format!(
                "{id} is known with another public key (sha256:{})",
                known.public_key.fingerprint()
            ),
        )
        .next(format!(
            "stella keys show {id} --public shows it; another key needs another key id"
        )));
    }
    if created_at.is_some_and(|given| known.created_at != Some(given)) {
        let since = known
            .created_at
            .map_or_else(|| "without a time".to_owned(), |t| format!("as made {t}"));
        return Err(
            Refusal::conflict("key.other-created-at", format!("{id} is known already, {since}"))
                .next(format!("stella keys show {id}")),
        );
    }
    Ok(())
}

fn nobody_knows(id: &KeyId) -> Refusal {
    Refusal::not_found("key.unknown", format!("no key named {id}")).next(format!(
        "stella keys generate --key-id {id}, or give its public key"
    ))
}
