//! `verify artifact`: what is stored about a digest, and whether it is enough.

use std::collections::BTreeMap;

use stella_core::api::verify::{VerdictReport, VerifyArtifact};
use stella_core::id::AttestationId;
use stella_core::statement::DigestSet;
use stella_core::verify::artifact::{Candidate, judge};
use stella_core::verify::ask::Wanted;
use stella_core::verify::document::assemble;
use stella_core::verify::{Check, Code, Judgement};
use stella_store::AttestationRow;

use super::signer::Signer;
use super::{Question, is_signed, open_stored, report, unreadable};
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    pub async fn verify_artifact(&self, caller: &Caller, request: VerifyArtifact) -> Result<VerdictReport> {
        let question = self.question(caller, &request.times).await?;
        let artifact = Wanted::parse(request.digests, request.purl.as_deref(), &request.require_types)?
            .artifact
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
        let mut answer = assemble(&judged, question.moment.now);
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
