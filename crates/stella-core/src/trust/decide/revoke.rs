//! Taking trust away. It needs no second person and waits for no prompt.

use crate::id::{AnchorId, KeyId};
use crate::time::Timestamp;
use crate::trust::anchor::{AnchorKey, TrustAnchor};
use crate::trust::decide::Refusal;
use crate::trust::decide::anchor::{Scope, find_anchor};
use crate::trust::decide::key::{find, still_active};
use crate::trust::event::EventBody;
use crate::trust::key::{KeyRecord, KeyState};
use crate::trust::reason::{KeyEnd, Loosening, RevokeReason};
use crate::trust::state::TrustState;

#[derive(Debug, Clone)]
pub struct Revocation {
    pub reason: RevokeReason,
    /// `None` is at once, by the clock of whoever decides. So a command that is
    /// repeated finds itself done instead of asking for a later end.
    pub effective_at: Option<Timestamp>,
    pub compromised_since: Option<Timestamp>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub events: Vec<EventBody>,
    /// From when on; where nothing was left to do, since when.
    pub effective_at: Timestamp,
    pub anchors: Vec<AnchorId>,
    /// Anchors left without any key that is still good.
    pub emptied: Vec<AnchorId>,
    /// Whether signing with the key ends as well.
    pub ends_signing: bool,
}

/// `anchor revoke-key`: in one anchor, or in every anchor that holds or held
/// it. That a key was stolen is true of the key, so a compromise that one
/// anchor is told of holds in all.
pub fn in_anchors(
    state: &TrustState,
    scope: &Scope,
    key_id: &KeyId,
    revocation: &Revocation,
    now: Timestamp,
) -> Result<Revoked, Refusal> {
    let key = find(state, key_id)?;
    check_times(revocation, now)?;
    let named = held_in(state, scope, key_id)?;
    let compromise = revocation.reason.is_compromise();
    let anchors = if compromise {
        held_in(state, &Scope::All, key_id)?
    } else {
        named
    };
    if !compromise && key.state(now) == KeyState::Active {
        return Err(still_active(key));
    }
    let mut out = Revoked {
        events: Vec::new(),
        effective_at: end_of(revocation, now).effective_at,
        anchors: Vec::new(),
        emptied: Vec::new(),
        ends_signing: false,
    };
    for (anchor, held) in anchors {
        let asked_for = *scope == Scope::All || *scope == Scope::One(anchor.id);
        match tells_news(held.end.as_ref(), revocation, now) {
            Ok(true) => {}
            Ok(false) => {
                out.stands(held.end.as_ref());
                continue;
            }
            // It knows worse already; that must not keep the named one from being told.
            Err(_) if !asked_for => continue,
            Err(why) => {
                let message = format!("anchor {}: {why}", anchor.id);
                return Err(Refusal::conflict("key.revocation-loosened", message)
                    .next(format!("stella anchor show {}", anchor.id)));
            }
        }
        if held.is_current(now) && !others_current(anchor, key_id, now) {
            out.emptied.push(anchor.id);
        }
        out.anchors.push(anchor.id);
        out.record(Some(anchor.id), key_id, revocation, now);
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
        match out.end_signing(key, revocation, now) {
            // Nor must what the key as a whole knows better.
            Err(_) if *scope != Scope::All => {}
            outcome => outcome?,
        }
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
        out.end_signing(find(state, key_id)?, revocation, now)?;
    }
    Ok(out)
}

impl Revoked {
    fn end_signing(
        &mut self,
        key: &KeyRecord,
        revocation: &Revocation,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let news = tells_news(key.end.as_ref(), revocation, now).map_err(|why| {
            Refusal::conflict("key.revocation-loosened", format!("{}: {why}", key.id))
                .next(format!("stella keys show {}", key.id))
        })?;
        if news {
            self.ends_signing = key.end.is_none();
            self.record(None, &key.id, revocation, now);
        } else {
            self.stands(key.end.as_ref());
        }
        Ok(())
    }

    fn record(&mut self, anchor_id: Option<AnchorId>, key_id: &KeyId, r: &Revocation, now: Timestamp) {
        let effective_at = r.effective_at.unwrap_or(now);
        self.effective_at = effective_at;
        self.events.push(EventBody::KeyRevoked {
            anchor_id,
            key_id: key_id.clone(),
            reason: r.reason,
            effective_at,
            compromised_since: r.compromised_since,
            note: r.note.clone(),
        });
    }

    /// Nothing is to be done here: this end was told before.
    fn stands(&mut self, end: Option<&KeyEnd>) {
        if let Some(end) = end.filter(|_| self.events.is_empty()) {
            self.effective_at = end.effective_at;
        }
    }
}

fn held_in<'a>(
    state: &'a TrustState,
    scope: &Scope,
    key_id: &KeyId,
) -> Result<Vec<(&'a TrustAnchor, &'a AnchorKey)>, Refusal> {
    match scope {
        Scope::One(id) => {
            let anchor = find_anchor(state, *id)?;
            let held = anchor.key(key_id).ok_or_else(|| {
                Refusal::not_found(
                    "anchor.key-not-here",
                    format!("anchor {id} does not hold {key_id}"),
                )
                .next(format!("stella anchor show {id}"))
            })?;
            Ok(vec![(anchor, held)])
        }
        Scope::All => Ok(state
            .anchors
            .values()
            .filter_map(|a| a.key(key_id).map(|held| (a, held)))
            .collect()),
    }
}

fn others_current(anchor: &TrustAnchor, key_id: &KeyId, now: Timestamp) -> bool {
    anchor
        .keys
        .iter()
        .any(|k| k.key_id != *key_id && k.is_current(now))
}

/// Whether `asked` changes what was said before. Saying the same again is no
/// event: a repeated command changes nothing. A compromise is never too late
/// to tell, and what was to end at once may have ended already: where the key
/// ended earlier, that end stays.
fn tells_news(earlier: Option<&KeyEnd>, revocation: &Revocation, now: Timestamp) -> Result<bool, Loosening> {
    let Some(earlier) = earlier else {
        return Ok(true);
    };
    let mut asked = end_of(revocation, now);
    let reached = revocation.effective_at.is_none() && earlier.effective_at <= now;
    if asked.reason.is_compromise() || (reached && asked.reason == earlier.reason) {
        asked.effective_at = asked.effective_at.min(earlier.effective_at);
    }
    if same(earlier, &asked) {
        return Ok(false);
    }
    asked.tightens(earlier).map(|()| true)
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
        effective_at: revocation.effective_at.unwrap_or(now),
        recorded_at: now,
        compromised_since: revocation.compromised_since,
        note: revocation.note.clone(),
    }
}

fn same(a: &KeyEnd, b: &KeyEnd) -> bool {
    // The reason is part of the validity.
    a.validity() == b.validity() && (a.reason.is_compromise() || a.effective_at == b.effective_at)
}
