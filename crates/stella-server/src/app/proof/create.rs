//! `proof create`: chosen, listed in a spine, signed, and kept by its address.

use base64::Engine as _;
use stella_core::api::attestations::{CreateAttestation, Created, WouldVerify};
use stella_core::api::proofs::{CreateProof, Proof, ProofPart};
use stella_core::bundle::proof::{ProofBundle, SignedPayload};
use stella_core::bundle::spine::{self, MemberRef, Spine};
use stella_core::dsse::{self, Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::id::AttestationId;
use stella_core::predicate::PredicateType;
use stella_core::verify::proof::Asked;
use stella_store::{AttestationState, ProofKept, ProofRow};

use super::members::{Chosen, Part};
use super::unfit;
use crate::app::attest::{CreateOptions, subject};
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    /// The same members give the same spine, and an equal spine that this
    /// identity had signed is taken again: a repetition is safe.
    pub async fn create_proof(&self, caller: &Caller, request: CreateProof) -> Result<Proof> {
        let question = self.question_now(self.trust_head().await?);
        let chosen = self.choose(&question, &request).await?;
        let members: Vec<MemberRef> = chosen.parts.iter().map(listed).collect();
        let spine = Spine::new(chosen.subject.clone(), members);
        let payload = spine
            .to_payload()
            .map_err(|e| Error::internal(format!("the spine has no canonical form: {e}")))?;
        self.fits(&chosen, &payload)?;
        let pae = dsse::pae_digest(IN_TOTO_PAYLOAD_TYPE, &payload);
        if let Some(withdrawn) = question.trust.withdrawn.get(&pae) {
            return Err(Error::conflict(
                "proof.withdrawn",
                format!(
                    "a proof of exactly these statements was withdrawn {} ({})",
                    withdrawn.at, withdrawn.reason
                ),
            )
            .next("have corrected statements signed: stella attest create"));
        }
        if !request.force {
            let waiting =
                self.store.attestations_by_pae(&pae).await?.into_iter().find(|r| {
                    r.state == AttestationState::Recorded && r.requested.identity == caller.identity
                });
            if let Some(row) = waiting {
                let error = row.attempts.last_error.unwrap_or_default();
                let mut answer = self.recorded(caller, &spine, &chosen, vec![row.id.to_string()], &error);
                answer.repeated = true;
                return Ok(answer);
            }
        }
        let created = self.sign_spine(caller, &request, &payload).await?;
        let ids: Vec<String> = created.attestations.iter().map(|a| a.id.clone()).collect();
        if let Some(waiting) = created.attestations.iter().find(|a| a.state != "signed") {
            let error = waiting.last_error.clone().unwrap_or_default();
            return Ok(self.recorded(caller, &spine, &chosen, ids, &error));
        }
        let spine_ids = ids
            .iter()
            .map(|id| id.parse())
            .collect::<std::result::Result<Vec<AttestationId>, _>>();
        let spine_ids = spine_ids.map_err(|e| Error::internal(e.to_string()))?;
        self.keep(caller, chosen, spine_ids).await
    }

    async fn sign_spine(&self, caller: &Caller, request: &CreateProof, payload: &[u8]) -> Result<Created> {
        let request = CreateAttestation {
            statement: Some(base64::engine::general_purpose::STANDARD.encode(payload)),
            predicate_type: None,
            subjects: Vec::new(),
            predicate: None,
            profiles: request.profiles.clone(),
            force: Some(request.force),
        };
        self.create_attestation(caller, request, CreateOptions::default())
            .await
    }

    async fn keep(&self, caller: &Caller, chosen: Chosen, spine: Vec<AttestationId>) -> Result<Proof> {
        let spine_part = self.signed_payload(&self.rows(&spine).await?)?;
        let (rows, members) = chosen.parts.into_iter().map(|p| (p.rows, p.signed)).unzip();
        let bundle = ProofBundle::new(spine_part, members, &self.proof_limits()).map_err(unfit)?;
        let row = ProofRow {
            address: bundle.address(),
            spine,
            members: rows,
            created_by: caller.identity.clone(),
            created_at: self.not_before(self.trust_head().await?.as_ref()),
        };
        let (kept, repeated) = match self.store.insert_proof(row.clone()).await? {
            ProofKept::Done => (row, false),
            ProofKept::Earlier(earlier) => (earlier, true),
        };
        let mut answer = self.proof_view(&kept, &bundle).await?;
        answer.repeated = repeated;
        answer.passed_over = chosen.passed_over;
        Ok(answer)
    }

    /// Refused before anything is signed for it.
    fn fits(&self, chosen: &Chosen, payload: &[u8]) -> Result<()> {
        let stand_in = Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: payload.to_vec(),
            signatures: vec![EnvelopeSignature {
                keyid: Some("k".repeat(LONGEST_KEY_ID)),
                sig: vec![0; LONGEST_SIGNATURE],
            }],
        };
        let members = chosen.parts.iter().map(|p| p.signed.clone()).collect();
        SignedPayload::of([stand_in])
            .and_then(|spine| ProofBundle::new(spine, members, &self.proof_limits()))
            .map(|_| ())
            .map_err(unfit)
    }

    /// Durable, but without a signature there is no bundle and no address yet.
    fn recorded(
        &self,
        caller: &Caller,
        spine: &Spine,
        chosen: &Chosen,
        ids: Vec<String>,
        error: &str,
    ) -> Proof {
        let pae = spine
            .to_payload()
            .map(|p| dsse::pae_digest(IN_TOTO_PAYLOAD_TYPE, &p).to_hex());
        Proof {
            id: None,
            state: "recorded".to_owned(),
            subject: subject(&spine.subject),
            merkle_root: spine.root.to_hex(),
            spine: ProofPart {
                pae_digest: pae.unwrap_or_default(),
                predicate_type: short(spine::PREDICATE_TYPE),
                attestations: ids,
                key_ids: Vec::new(),
            },
            members: chosen.parts.iter().map(part).collect(),
            created_by: caller.identity.clone(),
            created_at: self.now().to_string(),
            passed_over: chosen.passed_over.clone(),
            repeated: false,
            would_verify: None,
            warnings: vec![format!("the spine is recorded but not signed yet: {error}")],
            next: Some(
                "stella attest retry --failed, then repeat this: the address comes with the signature"
                    .to_owned(),
            ),
        }
    }

    pub(super) async fn would_verify(&self, bundle: &ProofBundle) -> Result<WouldVerify> {
        let question = self.question_now(self.trust_head().await?);
        let asked = Asked {
            address: Some(bundle.address()),
            ..Asked::default()
        };
        let judgement = self
            .judge_proof(&question, bundle, &asked, &mut question.budget())
            .await?;
        Ok(WouldVerify {
            verdict: judgement.verdict.to_string(),
            code: judgement.code.to_string(),
            anchor_id: judgement.anchor_id.map(|a| a.to_string()),
        })
    }
}

/// Of what this build signs with, generously.
const LONGEST_SIGNATURE: usize = 8 * 1024;
const LONGEST_KEY_ID: usize = 128;

fn listed(part: &Part) -> MemberRef {
    MemberRef {
        pae: part.pae,
        predicate_type: part.predicate_type.clone(),
    }
}

fn part(part: &Part) -> ProofPart {
    ProofPart {
        pae_digest: part.pae.to_hex(),
        predicate_type: short(&part.predicate_type),
        attestations: part.rows.iter().map(ToString::to_string).collect(),
        key_ids: super::show::key_ids(&part.signed),
    }
}

pub(super) fn short(uri: &str) -> String {
    PredicateType::from_wire(uri).short().into_owned()
}
