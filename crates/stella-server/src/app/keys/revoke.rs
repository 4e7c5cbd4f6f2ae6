//! `keys revoke` and `anchor revoke-key`: taking trust away, and saying
//! beforehand what that touches.

use std::sync::Arc;

use stella_core::api::keys::{Revocation as Answer, RevokeKey};
use stella_core::id::KeyId;
use stella_core::trust::decide::anchor::Scope;
use stella_core::trust::decide::revoke::{self, Revocation, Revoked};
use stella_core::trust::{KeyState, TrustState};
use stella_core::verify::Verdict;
use stella_store::{AttestationFilter, AttestationRow};

use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller, values};

/// How many attestations are judged to say how many flip.
pub const MAX_JUDGED: usize = 10_000;

impl App {
    pub async fn revoke_key(&self, caller: &Caller, id: &str, request: RevokeKey) -> Result<Answer> {
        self.revoke(caller, None, id, request).await
    }

    /// In one anchor, or with `ALL` in every one that holds or held it.
    pub async fn revoke_key_in(
        &self,
        caller: &Caller,
        anchor: &str,
        id: &str,
        request: RevokeKey,
    ) -> Result<Answer> {
        self.revoke(caller, Some(anchor), id, request).await
    }

    async fn revoke(
        &self,
        caller: &Caller,
        anchor: Option<&str>,
        id: &str,
        request: RevokeKey,
    ) -> Result<Answer> {
        let id = values::key_id(id)?;
        let before = self.trust_head().await?;
        let scope = anchor.map(|text| values::scope(&before, text)).transpose()?;
        let now = self.not_before(&before);
        let revocation = Revocation {
            reason: request
                .reason
                .parse()
                .map_err(|e| Error::invalid("key.reason", e))?,
            effective_at: values::time(request.effective_at.as_deref().unwrap_or("NOW"), now)?,
            compromised_since: request
                .compromised_since
                .as_deref()
                .map(|t| values::time(t, now))
                .transpose()?,
            note: request.note.clone(),
        };
        let decide = |state: &TrustState, now| match &scope {
            Some(scope) => revoke::in_anchors(state, scope, &id, &revocation, now),
            None => revoke::everywhere(state, &id, &revocation, now),
        };
        let (revoked, after) = if request.dry_run {
            let revoked = decide(&before, now)?;
            let mut after = TrustState::clone(&before);
            after
                .preview(&revoked.events, now)
                .map_err(|e| Error::internal(e.to_string()))?;
            (revoked, Arc::new(after))
        } else {
            self.change(caller, |state, now| {
                let revoked = decide(state, now)?;
                Ok(Decision::new(revoked.events.clone(), revoked))
            })
            .await?
        };
        let (attestations, flipped) = self.flipped(&id, Arc::clone(&before), after).await?;
        // Only the key that signs leaves its profile without one.
        let signed = before
            .keys
            .get(&id)
            .is_some_and(|k| k.state(now) == KeyState::Active);
        let revoked = Revoked {
            ends_signing: revoked.ends_signing && signed,
            ..revoked
        };
        Ok(answer(
            &id,
            &revocation,
            &revoked,
            scope.as_ref(),
            (attestations, flipped),
            request.dry_run,
        ))
    }

    /// How many attestations the key signed, and how many of them pass no more.
    async fn flipped(
        &self,
        id: &KeyId,
        before: Arc<TrustState>,
        after: Arc<TrustState>,
    ) -> Result<(u64, u64)> {
        let rows = self.signed_by(id).await?;
        let question = self.question_now(Arc::clone(&after));
        let now = self.judge_many(&question.under(after), &rows).await?;
        let then = self.judge_many(&question.under(before), &rows).await?;
        let flipped = then
            .iter()
            .zip(&now)
            .filter(|(then, now)| then.verdict == Verdict::Pass && now.verdict != Verdict::Pass)
            .count();
        Ok((rows.len() as u64, flipped as u64))
    }

    /// What this server signed with the key, newest first, up to [`MAX_JUDGED`].
    pub(crate) async fn signed_by(&self, id: &KeyId) -> Result<Vec<AttestationRow>> {
        let mut rows: Vec<AttestationRow> = Vec::new();
        loop {
            let filter = AttestationFilter {
                key_id: Some(id.clone()),
                before: rows.last().map(|r| r.id),
                limit: 1_000.min(MAX_JUDGED - rows.len()),
                ..AttestationFilter::default()
            };
            let page = self.store.list_attestations(filter).await?;
            let done = page.len() < 1_000;
            rows.extend(page);
            if done || rows.len() >= MAX_JUDGED {
                return Ok(rows);
            }
        }
    }
}

fn answer(
    id: &KeyId,
    revocation: &Revocation,
    revoked: &Revoked,
    scope: Option<&Scope>,
    (attestations, flipped): (u64, u64),
    dry_run: bool,
) -> Answer {
    let mut next = Vec::new();
    if revocation.reason.is_compromise() {
        if revocation.compromised_since.is_none() {
            next.push(format!(
                "stella anchor revoke-key --anchor-id ALL --key-id {id} --reason compromise --compromised-since T      states since when; until then none of its {attestations} signatures is proven"
            ));
        }
        next.push(format!(
            "stella keys impact {id}      lists what it signed and what flipped"
        ));
        if revoked.ends_signing {
            next.push(
                "stella keys generate      makes a successor; until then statements are only recorded"
                    .to_owned(),
            );
        }
    } else if flipped > 0 && scope.is_some() {
        next.push(format!("stella keys impact {id}"));
    }
    Answer {
        key_id: id.to_string(),
        reason: revocation.reason.to_string(),
        effective_at: revocation.effective_at.to_string(),
        compromised_since: revocation.compromised_since.map(|t| t.to_string()),
        anchors: revoked.anchors.iter().map(ToString::to_string).collect(),
        emptied: revoked.emptied.iter().map(ToString::to_string).collect(),
        ends_signing: revoked.ends_signing,
        attestations,
        flipped,
        dry_run,
        next,
    }
}
