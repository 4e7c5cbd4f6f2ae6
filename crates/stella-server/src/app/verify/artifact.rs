//! `verify artifact`: what is stored about a digest, and whether it is enough.

use std::collections::{BTreeMap, BTreeSet};

use stella_core::api::verify::{VerdictReport, VerifyArtifact};
use stella_core::id::AttestationId;
use stella_core::predicate::PredicateType;
use stella_core::purl::SubjectName;
use stella_core::statement::DigestSet;
use stella_core::verify::artifact::{Artifact, ArtifactJudgement, Candidate, judge};
use stella_core::verify::{Check, Code, Judgement};
use stella_store::AttestationRow;

use super::signer::Signer;
use super::{Question, gravity, is_signed, open_stored, report, unreadable};
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    pub async fn verify_artifact(&self, caller: &Caller, request: VerifyArtifact) -> Result<VerdictReport> {
        let question = self.question(caller, &request.times).await?;
        let artifact = artifact(request.digests, request.purl.as_deref(), &request.require_types)?
            .ok_or_else(|| {
                Error::invalid(
                    "verify.which",
                    "name an artifact by its digest: --digest sha256:HEX or --file",
                )
            })?;
        let (rows, cut) = self.speaking_about(&question, &artifact.digest).await?;
        let signer = Signer(request.signer.as_deref());
        let (candidates, broken) = self.candidates(&question, &rows, signer).await?;
        let mut judged = judge(
            question.verifier(),
            &artifact,
            &candidates,
            &mut question.budget(),
        );
        if cut {
            judged.trace.push(Check::warn(
                "attestations",
                Code::BudgetExhausted,
                format!(
                    "more than {} speak about it; of our own and then of imports the oldest were judged (limits.maxAttestationsPerArtifact)",
                    rows.len()
                ),
            ));
        }
        let mut answer = assemble(&question, &judged);
        answer.parts.extend(
            broken
                .iter()
                .map(|(id, j)| report::part(Some(id.to_string()), false, j)),
        );
        answer.artifact_bound = true;
        if request.signer.is_none() {
            let reached = judged
                .attestations
                .iter()
                .filter_map(|c| Some((c.id.parse().ok()?, &c.judgement)))
                .collect();
            self.remember(&question, report::Reached(reached)).await;
        }
        self.log_verdict(&question, caller, &answer).await;
        Ok(answer)
    }

    /// Rows with any of the digests, our own before imports and oldest first
    /// in each, and whether there were more.
    async fn speaking_about(
        &self,
        question: &Question,
        digest: &DigestSet,
    ) -> Result<(Vec<AttestationRow>, bool)> {
        let limit = self.settings.limits.max_attestations_per_artifact;
        let mut found: BTreeMap<AttestationId, AttestationRow> = BTreeMap::new();
        for (algorithm, hex) in digest.accepted() {
            let rows = self
                .store
                .attestations_by_digest(algorithm, hex, limit.saturating_add(1))
                .await?;
            found.extend(rows.into_iter().map(|r| (r.id, r)));
        }
        let cut = found.len() > limit;
        let mut rows: Vec<_> = found
            .into_values()
            .filter(|r| question.known_by.is_none_or(|by| r.created_at <= by))
            .collect();
        rows.sort_by_key(|r| r.imported);
        rows.truncate(limit);
        Ok((rows, cut))
    }

    /// What can be judged, and what cannot even be read.
    async fn candidates(
        &self,
        question: &Question,
        rows: &[AttestationRow],
        signer: Signer<'_>,
    ) -> Result<(Vec<Candidate>, Vec<(AttestationId, Judgement)>)> {
        let known = self
            .known_signatures(question, rows.iter().map(|r| r.pae))
            .await?;
        let (mut candidates, mut broken) = (Vec::new(), Vec::new());
        for row in rows {
            // Somebody else's signature over the same statement is not what was asked for.
            let signatures = signer.of(known.get(&row.pae).cloned().unwrap_or_default());
            match open_stored(question, row, signatures) {
                Ok(statement) => candidates.push(Candidate {
                    reference: row.id.to_string(),
                    unsigned: !is_signed(row, question),
                    other_signer: !signer.asked_for(row),
                    statement,
                }),
                Err(check) => broken.push((row.id, unreadable(row, check))),
            }
        }
        Ok((candidates, broken))
    }
}

/// What the asker holds; `None` where no digest was given.
pub(super) fn artifact(
    digests: BTreeMap<String, String>,
    purl: Option<&str>,
    require_types: &[String],
) -> Result<Option<Artifact>> {
    if digests.is_empty() {
        return Ok(None);
    }
    let digest = DigestSet::new(digests)
        .map_err(|e| Error::invalid("digest.syntax", format!("the digest cannot be read: {e}")))?;
    if digest.accepted().next().is_none() {
        return Err(Error::invalid(
            "digest.weak",
            format!("{digest} identifies no artifact: give sha256 or a stronger digest"),
        ));
    }
    Ok(Some(Artifact {
        digest,
        name: purl.map(name).transpose()?,
        require_types: types(require_types)?,
    }))
}

pub(super) fn name(text: &str) -> Result<SubjectName> {
    SubjectName::parse(text).map_err(|e| Error::invalid("purl.syntax", format!("{text:?}: {e}")))
}

pub(super) fn types(names: &[String]) -> Result<BTreeSet<PredicateType>> {
    names
        .iter()
        .map(|n| PredicateType::from_name(n).map_err(|e| Error::invalid("predicate.unknown", e)))
        .collect()
}

/// The artifact's verdict, with the attestation that explains it best.
pub(super) fn assemble(question: &Question, judged: &ArtifactJudgement) -> VerdictReport {
    let telling = judged
        .attestations
        .iter()
        .filter(|c| c.judgement.code == judged.code)
        .min_by_key(|c| (!c.counts, gravity(c.judgement.code)));
    let mut answer = VerdictReport {
        verdict: judged.verdict.to_string(),
        code: judged.code.to_string(),
        subject: judged.subject.clone(),
        predicate_type: telling.map(|c| c.judgement.predicate_type.clone()),
        attestation_id: telling.map(|c| c.id.clone()),
        anchor_id: telling
            .and_then(|c| c.judgement.anchor_id)
            .map(|id| id.to_string()),
        artifact_bound: false,
        trace: report::trace(&judged.trace),
        parts: judged
            .attestations
            .iter()
            .map(|c| report::part(Some(c.id.clone()), c.counts, &c.judgement))
            .collect(),
        next: None,
        now: question.moment.now.to_string(),
    };
    answer.next = report::next(&answer, judged.code);
    answer
}
