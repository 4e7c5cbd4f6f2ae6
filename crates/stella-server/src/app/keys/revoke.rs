//! `keys revoke` and `anchor revoke-key`: taking trust away, at once, and
//! saying what that touched.

use std::sync::Arc;

use stella_core::api::keys::{Revocation as Answer, RevokeKey};
use stella_core::id::KeyId;
use stella_core::time::Timestamp;
use stella_core::trust::decide::Refusal;
use stella_core::trust::decide::anchor::Scope;
use stella_core::trust::decide::revoke::{Revocation, Revoked, everywhere, in_anchors};
use stella_core::trust::reason::RevokeReason;
use stella_core::trust::{KeyState, TrustState};

use super::impact::count;
use super::judged::Comparison;
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

/// How far a revocation reaches.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// Every anchor, and the end of signing.
    Everywhere,
    Anchors(Scope),
}

impl App {
    pub async fn revoke_key(&self, caller: &Caller, id: &str, request: RevokeKey) -> Result<Answer> {
        self.revoke(caller, &Reach::Everywhere, id, request).await
    }

    /// The act comes first and its radius is measured after it: revoking
    /// waits for nothing.
    pub(crate) async fn revoke(
        &self,
        caller: &Caller,
        reach: &Reach,
        id: &str,
        request: RevokeKey,
    ) -> Result<Answer> {
        let id = values::key_id(id)?;
        let head = self.trust_head().await?;
        let now = self.not_before(&head);
        let revocation = parse(&request, now)?;
        let Done {
            before,
            revoked,
            after,
        } = if request.dry_run {
            rehearse(head, reach, &id, &revocation, now)?
        } else {
            self.carry_out(caller, reach, &id, &revocation).await?
        };
        let key = super::known(&before, &id)?.clone();
        let signed = key.state(now) == KeyState::Active && revoked.ends_signing;
        let touched = self.compare(&key, Arc::clone(&before), Arc::clone(&after)).await;
        if let (Err(why), true) = (&touched, request.dry_run) {
            return Err(why.clone());
        }
        let next = self.next_after(
            &id,
            &revocation,
            &revoked,
            touched.as_ref(),
            signed.then_some(key.profile()).flatten(),
        );
        // It is revoked: failing to measure what that touched is no failure of it.
        let touched = touched.unwrap_or_default();
        Ok(Answer {
            key_id: id.to_string(),
            reason: revocation.reason.to_string(),
            effective_at: revoked.effective_at.to_string(),
            compromised_since: revocation.compromised_since.map(|t| t.to_string()),
            anchors: revoked.anchors.iter().map(ToString::to_string).collect(),
            emptied: revoked.emptied.iter().map(ToString::to_string).collect(),
            ends_signing: revoked.ends_signing,
            attestations: count(touched.rows.len()),
            flipped: count(touched.flipped()),
            dry_run: request.dry_run,
            next,
        })
    }

    async fn carry_out(
        &self,
        caller: &Caller,
        reach: &Reach,
        id: &KeyId,
        revocation: &Revocation,
    ) -> Result<Done> {
        let ((before, revoked), after) = self
            .change(caller, |state, now| {
                let revoked = decide(state, reach, id, revocation, now)?;
                let events = revoked.events.clone();
                Ok(Decision::new(events, (Arc::new(state.clone()), revoked)))
            })
            .await?;
        Ok(Done {
            before,
            revoked,
            after,
        })
    }

    fn next_after(
        &self,
        id: &KeyId,
        revocation: &Revocation,
        revoked: &Revoked,
        touched: std::result::Result<&Comparison, &Error>,
        silenced: Option<&stella_core::id::ProfileName>,
    ) -> Vec<String> {
        let mut next = Vec::new();
        if revoked.events.is_empty() {
            let since = revoked.effective_at;
            next.push(format!(
                "nothing was left to do: {id} was revoked already, as of {since}"
            ));
        }
        if let Some(profile) = silenced {
            next.push(format!(
                "nothing signs for profile {profile} now: stella keys generate --profile {profile}, then stella anchor add-key --anchor-id ALL --key-id NEW-KEY"
            ));
        }
        for anchor in &revoked.emptied {
            next.push(format!(
                "no key is good in anchor {anchor}: stella anchor add-key --anchor-id {anchor} --key-id NEW-KEY"
            ));
        }
        let touched = match touched {
            Ok(touched) => touched,
            Err(why) => {
                next.push(format!(
                    "revoked; what it signed could not be judged ({why}): stella keys impact {id}"
                ));
                return next;
            }
        };
        if revocation.reason.is_compromise() && revocation.compromised_since.is_none() {
            next.push(format!(
                "nobody has said since when, so {} by {id} {} INDETERMINATE: {}",
                signatures(touched.rows.len()),
                if touched.rows.len() == 1 { "is" } else { "are" },
                super::state_since(id)
            ));
        }
        if revocation.reason.is_compromise() || touched.flipped() > 0 {
            next.push(format!("stella keys impact {id} lists what it signed"));
        }
        if touched.cut {
            next.push(format!(
                "only the newest {} were judged (limits.maxRejudged); there are more",
                self.settings.limits.max_rejudged
            ));
        }
        next
    }
}

struct Done {
    before: Arc<TrustState>,
    revoked: Revoked,
    after: Arc<TrustState>,
}

fn rehearse(
    head: Arc<TrustState>,
    reach: &Reach,
    id: &KeyId,
    revocation: &Revocation,
    now: Timestamp,
) -> Result<Done> {
    let revoked = decide(&head, reach, id, revocation, now)?;
    let mut after = TrustState::clone(&head);
    after
        .preview(&revoked.events, now)
        .map_err(|why| Error::internal(format!("a decision broke the rules: {why}")))?;
    Ok(Done {
        before: head,
        revoked,
        after: Arc::new(after),
    })
}

fn decide(
    state: &TrustState,
    reach: &Reach,
    id: &KeyId,
    revocation: &Revocation,
    now: Timestamp,
) -> std::result::Result<Revoked, Refusal> {
    let scope = match reach {
        Reach::Everywhere => return everywhere(state, id, revocation, now),
        Reach::Anchors(scope) => scope,
    };
    let revoked = in_anchors(state, scope, id, revocation, now)?;
    let held = state.anchors_that_had(id).next().is_some();
    if !held && !revocation.reason.is_compromise() {
        return Err(
            Refusal::not_found("anchor.none-holds", format!("no anchor holds or held {id}"))
                .next(format!("stella keys revoke {id} --reason {}", revocation.reason)),
        );
    }
    Ok(revoked)
}

fn parse(request: &RevokeKey, now: Timestamp) -> Result<Revocation> {
    let reason: RevokeReason = request
        .reason
        .parse()
        .map_err(|e| Error::invalid("key.reason", e))?;
    let time = |text: &Option<String>| {
        text.as_deref()
            .filter(|t| !t.is_empty())
            .map(|t| values::time(t, now))
            .transpose()
    };
    let at_once = |text: &&String| text.eq_ignore_ascii_case("now");
    Ok(Revocation {
        reason,
        effective_at: match request.effective_at.as_ref().filter(at_once) {
            Some(_) => None,
            None => time(&request.effective_at)?,
        },
        compromised_since: time(&request.compromised_since)?,
        note: values::note(request.note.clone())?,
    })
}

fn signatures(n: usize) -> String {
    if n == 1 {
        "1 signature".to_owned()
    } else {
        format!("{n} signatures")
    }
}
