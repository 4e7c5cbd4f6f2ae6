//! `attest resign`: a current key over the same payload, so that an old proof
//! goes on. It must not launder a thief's work: what our ledger does not
//! hold, or what exists only since its key's end, needs somebody's review.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stella_core::api::attestations::{Attestation, Resign};
use stella_core::digest::Sha256;
use stella_core::evidence::Ledger;
use stella_core::id::{AttestationId, KeyId};
use stella_core::time::Timestamp;
use stella_core::trust::reason::Validity;
use stella_core::trust::{EventBody, TrustState};
use stella_store::{AttestationRow, LogRow, Signed};

use super::create::{Basis, Order, Placed, Wait};
use super::statement::Draft;
use crate::app::error::{Error, Result};
use crate::app::verify::claimed_name;
use crate::app::verify::evidence::KnownSignature;
use crate::app::{App, Caller};

/// The resolution of the time in an id (RFC 9562 section 5.7).
const ID_TICK: Duration = Duration::from_millis(1);

impl App {
    pub async fn resign_attestation(
        &self,
        caller: &Caller,
        id: &str,
        request: Resign,
    ) -> Result<Attestation> {
        let old = self.find_attestation(id).await?;
        let profile = match (&request.profile, &old.profile) {
            (Some(name), _) => self.known_profile(name)?,
            (None, Some(profile)) => self.known_profile(profile.as_str())?,
            (None, None) => self.known_profile("default")?,
        };
        let draft = Draft::of(self, old.payload.clone())?;
        caller.may_sign(&draft.names, &draft.kind, &profile)?;
        let reviewed = request
            .reviewed
            .as_deref()
            .map(str::trim)
            .filter(|n| !n.is_empty());
        let refusal = self.resignable(&old).await?;
        if let Err(why) = refusal
            && (reviewed.is_none() || !why.code.starts_with("resign."))
        {
            return Err(why);
        }
        let mut kept = caller.kept()?;
        if let (Some(note), Some(object)) = (reviewed, Arc::make_mut(&mut kept).as_object_mut()) {
            object.insert("reviewed".to_owned(), json!(note));
        }
        // Later than what it supersedes, even when the clock was set back.
        let new = self.fresh_id(self.now().max(old.created_at.saturating_add(ID_TICK)))?;
        let order = Order {
            id: new,
            draft: &draft,
            profile: &profile,
            caller,
            authority: kept,
            supersedes: Some(old.id),
            idempotency: None,
            wait: Wait::Signed,
            basis: Basis::Store,
            first: false,
        };
        let why = match self.place(order).await? {
            Placed::Signed(_) => None,
            Placed::Stored(why) => why,
            Placed::NotFirst => return Err(Error::internal("it had not to be the first")),
            Placed::Repeated(_) => return Err(Error::internal("repeated without an idempotency key")),
        };
        self.note(LogRow {
            at: self.now(),
            level: "info".to_owned(),
            component: "signing".to_owned(),
            message: format!("re-signed {} as {new}", old.id),
            fields: json!({ "by": caller.identity, "reviewed": reviewed, "supersedes": old.id.to_string() }),
        })
        .await;
        self.answer(new, why).await
    }

    /// The old one stands until its successor's signature is stored, and falls
    /// in that very transaction. Both sign the same payload, hence one PAE.
    pub(super) fn superseding(
        &self,
        signed: Signed,
        trust: &TrustState,
        actor: &str,
        pae: Sha256,
        successor: AttestationId,
    ) -> Result<Signed> {
        let body = EventBody::AttestationSuperseded { pae, successor };
        let append = self.on_top(trust, actor, signed.recorded_at, vec![body])?;
        Ok(Signed {
            events: Some(append),
            ..signed
        })
    }

    /// Whether it may be signed again without review.
    async fn resignable(&self, old: &AttestationRow) -> Result<std::result::Result<(), Error>> {
        let trust = self.trust_head().await?;
        if trust.withdrawn.contains_key(&old.pae) {
            return Ok(Err(Error::conflict(
                "attestation.withdrawn",
                format!("{} was withdrawn; its statement is not signed again", old.id),
            )
            .next("create a corrected one: stella attest create")));
        }
        if old.signed.is_none() {
            return Ok(Err(Error::conflict(
                "attestation.unsigned",
                format!("{} was never signed", old.id),
            )
            .next("stella attest retry --failed")));
        }
        let question = self.question_now(std::sync::Arc::clone(&trust));
        let known = self
            .known_signatures(&question, [old.pae])
            .await?
            .remove(&old.pae);
        let ledgered: Vec<_> = known
            .unwrap_or_default()
            .into_iter()
            .filter(|k| matches!(k.ledger, Ledger::Signed { .. }))
            .collect();
        let reviewing = format!(
            "look at it (stella attest show {} --details), then stella attest resign {} --reviewed NOTE",
            old.id, old.id
        );
        if ledgered.is_empty() {
            return Ok(Err(Error::conflict(
                "resign.not-in-ledger",
                format!("this server never made the signature of {}", old.id),
            )
            .next(reviewing)));
        }
        if ledgered.iter().any(|k| exists_before_end(&trust, old, k)) {
            return Ok(Ok(()));
        }
        Ok(Err(Error::conflict(
            "resign.after-key-end",
            format!(
                "nothing shows that the signature of {} is older than its key's end",
                old.id
            ),
        )
        .next(reviewing)))
    }
}

/// Recorded here before its key ended, as a whole and in every anchor that decides.
fn exists_before_end(trust: &TrustState, row: &AttestationRow, known: &KnownSignature) -> bool {
    let Some(recorded) = known.recorded_at else {
        return false;
    };
    let Some(id) = known.keyid.as_deref().and_then(|id| id.parse::<KeyId>().ok()) else {
        return false;
    };
    let whole = trust
        .keys
        .get(&id)
        .and_then(|k| k.end.as_ref())
        .map(|e| e.validity());
    let deciding = row
        .subjects
        .iter()
        .filter_map(|s| claimed_name(s).ok())
        .flat_map(|name| trust.deciding(&name))
        .filter_map(|anchor| anchor.key(&id))
        .map(|held| held.validity());
    whole
        .into_iter()
        .chain(deciding)
        .all(|validity| before(recorded, validity))
}

fn before(recorded: Timestamp, validity: Validity) -> bool {
    match validity {
        Validity::Open => true,
        Validity::Until { end, .. } => recorded < end,
        Validity::WindowUnknown => false,
    }
}
