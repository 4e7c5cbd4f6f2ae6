//! `anchor add-key`.

use stella_core::api::anchors::{AddKey, KeyAddition};
use stella_core::trust::decide::anchor::{Addition, add_key, with_activation};
use stella_core::trust::decide::key::enter_external;
use stella_core::trust::decide::{Refusal, RefusalKind};
use stella_core::trust::{EventBody, TrustState};

use crate::app::error::{Error, Result};
use crate::app::keys::import::public_key;
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

impl App {
    /// A key that is known, or with its public half one that is not.
    pub async fn add_key(&self, caller: &Caller, anchor: &str, request: AddKey) -> Result<KeyAddition> {
        let head = self.trust_head().await?;
        let scope = values::scope(&head, anchor)?;
        let id = values::key_id(&request.keyid)?;
        let now = self.not_before(&head);
        let expires_at = request
            .expires_at
            .as_deref()
            .map(|t| values::time(t, now))
            .transpose()?;
        let created_at = request
            .created_at
            .as_deref()
            .map(|t| values::time(t, now))
            .transpose()?;
        let stated = request
            .public_key
            .as_deref()
            .filter(|t| !t.trim().is_empty())
            .map(public_key)
            .transpose()?;
        let decide = |state: &TrustState, now| -> std::result::Result<(Vec<EventBody>, Addition), Refusal> {
            let mut events = Vec::new();
            let mut with_key = state.clone();
            match (state.keys.get(&id), &stated) {
                (Some(known), Some(stated)) if known.public_key != *stated => {
                    return Err(Refusal::conflict(
                        "key.exists",
                        format!("{id} is another key; key ids are never reused"),
                    )
                    .next(format!("stella keys show {id} --public")));
                }
                (Some(_), _) => {}
                (None, Some(stated)) => {
                    events = enter_external(state, id.clone(), stated.clone(), created_at, now)?;
                    with_key
                        .preview(&events, now)
                        .map_err(|e| Refusal::conflict("key.exists", e.to_string()))?;
                }
                (None, None) => {
                    return Err(Refusal {
                        kind: RefusalKind::NotFound,
                        ..Refusal::not_found(
                            "key.unknown",
                            format!("no key named {id}, and no public key was given"),
                        )
                        .next("stella keys list; or give the public key: --key FILE")
                    });
                }
            }
            let addition = add_key(&with_key, &scope, &id, expires_at, now)?;
            let mut added = addition.events.clone();
            if self.settings.rotation.activate_on_trust {
                added = with_activation(&with_key, added, &id, self.overlap(state), now);
            }
            events.extend(added);
            Ok((events, addition))
        };
        let (events, addition) = if request.dry_run {
            decide(&head, now)?
        } else {
            let decided = self
                .change(caller, |state, now| {
                    let (events, addition) = decide(state, now)?;
                    Ok(Decision::new(events.clone(), (events, addition)))
                })
                .await?;
            decided.0
        };
        let activated = events
            .iter()
            .any(|e| matches!(e, EventBody::KeyActivated { key_id } if *key_id == id));
        let outgoing = events.iter().find_map(|e| match e {
            EventBody::KeyRetiring { key_id, .. } => Some(key_id.to_string()),
            _ => None,
        });
        if addition.added_to.is_empty() && addition.held_already.is_empty() {
            return Err(
                Error::not_found("anchor.none-affected", "no anchor took the key").next("stella anchor list")
            );
        }
        Ok(KeyAddition {
            key_id: id.to_string(),
            added_to: addition.added_to.iter().map(ToString::to_string).collect(),
            held_already: addition.held_already.iter().map(ToString::to_string).collect(),
            activated,
            outgoing,
            dry_run: request.dry_run,
        })
    }
}
