//! Taking trust away. It needs no second person and waits for no prompt.

use crate::id::{AnchorId, KeyId};
use crate::time::Timestamp;
use crate::trust::anchor::TrustAnchor;
use crate::trust::decide::Refusal;
use crate::trust::decide::anchor::{Scope, find_anchor};
use crate::trust::decide::key::{find, still_active};
use crate::trust::event::EventBody;
use crate::trust::key::KeyState;
use crate::trust::reason::{KeyEnd, RevokeReason};
use crate::trust::state::TrustState;

#[derive(Debug, Clone)]
pub struct Revocation {
    pub reason: RevokeReason,
    pub effective_at: Timestamp,
    pub compromised_since: Option<Timestamp>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub events: Vec<EventBody>,
    pub anchors: Vec<AnchorId>,
    /// Anchors left without any key that is still good.
    pub emptied: Vec<AnchorId>,
    /// Whether signing with the key ends as well.
    pub ends_signing: bool,
}

/// `anchor revoke-key`: in one anchor, or in every anchor that holds or held it.
pub fn in_anchors(
    state: &TrustState,
    scope: &Scope,
    key_id: &KeyId,
    revocation: &Revocation,
    now: Timestamp,
) -> Result<Revoked, Refusal> {
    let key = find(state, key_id)?;
    check_times(revocation, now)?;
    let anchors: Vec<&TrustAnchor> = match scope {
        Scope::One(id) => {
            let anchor = find_anchor(state, *id)?;
            if anchor.key(key_id).is_none() {
                return Err(Refusal::not_found(
                    "anchor.key-not-here",
                    format!("anchor {id} does not hold {key_id}"),
                )
                .next(format!("stella anchor show {id}")));
            }
            vec![anchor]
        }
        Scope::All => state
            .anchors
            .values()
            .filter(|a| a.key(key_id).is_some())
            .collect(),
    };
    let compromise = revocation.reason.is_compromise();
    if !compromise && key.state(now) == KeyState::Active {
        return Err(still_active(key));
    }
    let new_end = end_of(revocation, now);
    let mut out = Revoked {
        events: Vec::new(),
        anchors: Vec::new(),
        emptied: Vec::new(),
        ends_signing: false,
    };
    for anchor in anchors {
        if let Some(earlier) = anchor.key(key_id).and_then(|k| k.end.as_ref()) {
            if same(earlier, &new_end) {
                continue;
            }
            new_end.tightens(earlier).map_err(|why| {
                Refusal::conflict("key.revocation-loosened", format!("anchor {}: {why}", anchor.id))
                    .next(format!("stella anchor show {}", anchor.id))
            })?;
        }
        if !anchor
            .keys
            .iter()
            .any(|k| k.key_id != *key_id && k.is_current(now))
        {
            out.emptied.push(anchor.id);
        }
        out.anchors.push(anchor.id);
        out.events.push(event(Some(anchor.id), key_id, revocation));
    }
    if !compromise && let Some(last) = out.emptied.first() {
        return Err(Refusal::conflict(
            "anchor.last-key",
            format!("{key_id} is the last key anchor {last} accepts; nothing new would verify there"),
        )
        .next(format!(
            "stella anchor add-key --anchor-id {last} --key-id NEW-KEY"
        )));
    }
    if compromise {
        out.extend_with_key_end(key.end.as_ref(), &new_end, key_id, revocation)?;
    }
    Ok(out)
}

/// `keys revoke`: every anchor, and the end of signing.
pub fn everywhere(
    state: &TrustState,
    key_id: &KeyId,
    revocation: &Revocation,
    now: Timestamp,
) -> Result<Revoked, Refusal> {
    let mut out = in_anchors(state, &Scope::All, key_id, revocation, now)?;
    if !revocation.reason.is_compromise() {
        let key = find(state, key_id)?;
        out.extend_with_key_end(key.end.as_ref(), &end_of(revocation, now), key_id, revocation)?;
    }
    Ok(out)
}

impl Revoked {
    fn extend_with_key_end(
        &mut self,
        earlier: Option<&KeyEnd>,
        new_end: &KeyEnd,
        key_id: &KeyId,
        revocation: &Revocation,
    ) -> Result<(), Refusal> {
        if let Some(earlier) = earlier {
            if same(earlier, new_end) {
                return Ok(());
            }
            new_end
                .tightens(earlier)
                .map_err(|why| Refusal::conflict("key.revocation-loosened", format!("{key_id}: {why}")))?;
        }
        self.ends_signing = earlier.is_none();
        self.events.push(event(None, key_id, revocation));
        Ok(())
    }
}

fn check_times(revocation: &Revocation, now: Timestamp) -> Result<(), Refusal> {
    match revocation.compromised_since {
        Some(_) if !revocation.reason.is_compromise() => Err(Refusal::invalid(
            "key.since-without-compromise",
            "--compromised-since goes with --reason compromise only",
        )),
        Some(since) if since > now => Err(Refusal::invalid(
            "key.since-in-future",
            "--compromised-since lies in the future",
        )),
        _ => Ok(()),
    }
}

fn end_of(revocation: &Revocation, now: Timestamp) -> KeyEnd {
    KeyEnd {
        reason: revocation.reason,
        effective_at: revocation.effective_at,
        recorded_at: now,
        compromised_since: revocation.compromised_since,
        note: revocation.note.clone(),
    }
}

/// Saying the same again is no event: a repeated command changes nothing.
fn same(a: &KeyEnd, b: &KeyEnd) -> bool {
    a.reason == b.reason
        && a.validity() == b.validity()
        && (a.reason.is_compromise() || a.effective_at == b.effective_at)
}

fn event(anchor_id: Option<AnchorId>, key_id: &KeyId, r: &Revocation) -> EventBody {
    EventBody::KeyRevoked {
        anchor_id,
        key_id: key_id.clone(),
        reason: r.reason,
        effective_at: r.effective_at,
        compromised_since: r.compromised_since,
        note: r.note.clone(),
    }
}
