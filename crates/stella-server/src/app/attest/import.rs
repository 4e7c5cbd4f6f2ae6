//! `attest import`: somebody else's envelope or bundle, recorded as it is.

use stella_core::api::attestations::{Attestation, ImportAttestation};
use stella_core::bundle::{self, Document};
use stella_core::dsse::IN_TOTO_PAYLOAD_TYPE;
use stella_core::id::KeyId;
use stella_core::trust::TrustState;
use stella_store::{Inserted, NewAttestation, Outcome, Requested, Signed};

use super::statement::Draft;
use super::view;
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    /// An import is never in the ledger, whoever made the signature. Equal
    /// bytes are answered again.
    pub async fn import_attestation(
        &self,
        caller: &Caller,
        request: ImportAttestation,
    ) -> Result<Attestation> {
        let document = Document::parse(request.document.as_bytes(), &self.envelope_limits())
            .map_err(|e| Error::invalid(e.code(), format!("invalid attestation: {e}")))?;
        let envelope = bundle::envelope_bytes(request.document.as_bytes(), &self.envelope_limits())
            .map_err(|e| Error::invalid(e.code(), format!("invalid attestation: {e}")))?;
        if document.envelope.payload_type != IN_TOTO_PAYLOAD_TYPE {
            let shown: String = document.envelope.payload_type.chars().take(100).collect();
            return Err(Error::invalid(
                "envelope.payload-type",
                format!("invalid attestation: the payload type is {shown:?}, not {IN_TOTO_PAYLOAD_TYPE}"),
            ));
        }
        let draft = Draft::of(self, document.envelope.payload.clone())?;
        let trust = self.trust_head().await?;
        made_by_the_keys_it_names(&trust, &document)?;
        let equal = self.store.attestations_by_pae(&draft.pae).await?;
        let same = equal
            .iter()
            .find(|r| r.imported && r.signed.as_ref().is_some_and(|s| s.envelope == envelope));
        if let Some(row) = same {
            let mut answer = view(row, &trust);
            answer.repeated = true;
            return Ok(answer);
        }
        let id = self.fresh_id(self.now())?;
        let now = self.not_before(&trust);
        let new = NewAttestation {
            id,
            pae: draft.pae,
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            subjects: draft.subjects.clone(),
            predicate_type: draft.kind.as_uri().to_owned(),
            payload: draft.payload,
            profile: None,
            requested: Requested {
                identity: caller.identity.clone(),
                token: caller.token,
                authority: caller.kept()?,
            },
            created_at: now,
            supersedes: None,
            imported: true,
            outcome: Outcome::Signed(Signed {
                envelope: envelope.to_vec(),
                recorded_at: now,
                by: None,
                events: None,
            }),
            expected_head: None,
            first: false,
            idempotency: None,
        };
        match self.store.insert_attestation(new.into()).await? {
            Inserted::Done => self.answer(id, None).await,
            other => Err(Error::internal(format!("an import answered {other:?}"))),
        }
    }
}

/// A key id that is known here and did not make the signature is a lie that
/// would be kept as evidence; unknown key ids may be anybody's.
fn made_by_the_keys_it_names(trust: &TrustState, document: &Document) -> Result<()> {
    let pae = document.envelope.pae();
    for signature in &document.envelope.signatures {
        let named = signature
            .keyid
            .as_deref()
            .and_then(|id| id.parse::<KeyId>().ok())
            .and_then(|id| trust.keys.get(&id));
        if let Some(key) = named
            && key.public_key.verify(&pae, &signature.sig).is_err()
        {
            return Err(Error::invalid(
                "signature.invalid",
                format!(
                    "signature verification failed: not made by {}, which it names",
                    key.id
                ),
            )
            .next("fetch it again from its source; stella verify --bundle FILE shows the whole trace"));
        }
    }
    Ok(())
}
