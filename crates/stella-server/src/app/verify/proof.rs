//! `verify --proof-bundle`: a stored proof, or a document that the asker brings.

use std::collections::HashMap;

use stella_core::api::proofs::{ProofVerdict, VerifyProof};
use stella_core::bundle::proof::{ProofBundle, ProofLimits, SignedPayload};
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeSignature};
use stella_core::evidence::{Ledger, TimeEvidence};
use stella_core::id::AttestationId;
use stella_core::verify::Budget;
use stella_core::verify::ask::Wanted;
use stella_core::verify::proof::{Asked, Case, Knowledge, ProofJudgement, judge};

use super::evidence::KnownSignature;
use super::{Question, report};
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    pub async fn verify_proof(&self, caller: &Caller, request: VerifyProof) -> Result<ProofVerdict> {
        let question = self.question(caller, &request.times).await?;
        let wanted = Wanted::parse(request.digests, request.purl.as_deref(), &[])?;
        let mut asked = Asked {
            address: None,
            name: wanted.name,
            digest: wanted.artifact.map(|a| a.digest),
        };
        let bundle = match (request.proof, request.document) {
            (None, None) => {
                return Err(Error::invalid(
                    "verify.which",
                    "name a proof by its address, sha256:HEX, or bring the bundle itself",
                ));
            }
            (Some(text), None) => {
                let row = self.find_proof(&text).await?;
                if question.known_by.is_some_and(|by| row.created_at > by) {
                    return Err(Error::not_found(
                        "proof.unknown",
                        format!(
                            "sha256:{} was not known then: it was made {}",
                            row.address, row.created_at
                        ),
                    ));
                }
                asked.address = Some(row.address);
                self.bundle_of(&row).await?
            }
            (text, Some(document)) => {
                asked.address = text
                    .map(|t| {
                        t.parse::<Sha256>()
                            .map_err(|e| Error::invalid("proof.address", e))
                    })
                    .transpose()?;
                match ProofBundle::parse(document.as_bytes(), &self.proof_limits()) {
                    Ok(bundle) => bundle,
                    Err(e) => {
                        let judgement = ProofJudgement::unreadable(&e);
                        return self.told(&question, caller, None, false, &judgement).await;
                    }
                }
            }
        };
        let judgement = self
            .judge_proof(&question, &bundle, &asked, &mut question.budget())
            .await?;
        let bound = asked.digest.is_some();
        self.told(&question, caller, Some(bundle.address()), bound, &judgement)
            .await
    }

    /// The one way to judge a proof bundle: by what it carries, and what this
    /// server knows about that.
    pub(crate) async fn judge_proof(
        &self,
        question: &Question,
        bundle: &ProofBundle,
        asked: &Asked,
        budget: &mut Budget,
    ) -> Result<ProofJudgement> {
        let record = self.record_of(question, bundle).await?;
        let case = Case {
            bundle,
            asked,
            known: &record,
            limits: &self.proof_limits(),
            statements: &self.statement_limits(),
        };
        Ok(judge(question.verifier(), case, budget))
    }

    pub(crate) fn proof_limits(&self) -> ProofLimits {
        self.document_limits().proof()
    }

    async fn record_of(&self, question: &Question, bundle: &ProofBundle) -> Result<Record> {
        let brought: Vec<_> = bundle
            .statements()
            .map(|s| (s.pae_digest(), s.signatures()))
            .collect();
        let known = self.known_of(question, &brought).await?;
        let mut successors = HashMap::new();
        for held in bundle.members() {
            if let Some(newer) = self.successor(question, held).await? {
                successors.insert(held.pae_digest(), newer);
            }
        }
        Ok(Record {
            known: brought.iter().map(|(pae, _)| *pae).zip(known).collect(),
            successors,
        })
    }

    /// What took its place, unless that is what the bundle holds.
    async fn successor(&self, question: &Question, held: &SignedPayload) -> Result<Option<AttestationId>> {
        let pae = held.pae_digest();
        let Some(successor) = question.trust.superseded.get(&pae).map(|s| s.successor) else {
            return Ok(None);
        };
        let limits = self.envelope_limits();
        let newer = self.store.attestations_by_pae(&pae).await?;
        let holds_newer = newer
            .into_iter()
            .filter(|row| row.id >= successor)
            .filter_map(|row| Envelope::parse(&row.signed?.envelope, &limits).ok())
            .flat_map(|envelope| envelope.signatures)
            .any(|s| held.signatures().iter().any(|h| h.sig == s.sig));
        Ok((!holds_newer).then_some(successor))
    }

    async fn told(
        &self,
        question: &Question,
        caller: &Caller,
        address: Option<Sha256>,
        artifact_bound: bool,
        judgement: &ProofJudgement,
    ) -> Result<ProofVerdict> {
        let resting_on = match judgement.deciding {
            Some(pae) => self.first_of(&pae).await?,
            None => None,
        };
        let now = question.moment.now;
        let answer = report::of_proof(judgement, address, resting_on, artifact_bound, now);
        self.log_verdict(question, caller, &answer.report).await;
        Ok(answer)
    }

    async fn first_of(&self, pae: &Sha256) -> Result<Option<String>> {
        let rows = self.store.attestations_by_pae(pae).await?;
        Ok(rows.iter().map(|r| r.id).min().map(|id| id.to_string()))
    }
}

struct Record {
    known: HashMap<Sha256, Vec<KnownSignature>>,
    successors: HashMap<Sha256, AttestationId>,
}

impl Knowledge for Record {
    fn about(&self, pae: Sha256, signature: &EnvelopeSignature) -> (Vec<TimeEvidence>, Ledger) {
        let known = self.known.get(&pae).and_then(|known| {
            known
                .iter()
                .find(|k| k.sig == signature.sig && k.keyid == signature.keyid)
        });
        known.map_or((Vec::new(), Ledger::Unknown), |k| {
            let case = k.case();
            (case.evidence, case.ledger)
        })
    }

    fn successor(&self, pae: Sha256) -> Option<AttestationId> {
        self.successors.get(&pae).copied()
    }
}
