//! `verify attestation`: every subject must pass.

use stella_core::api::verify::{VerdictReport, VerifyAttestation};
use stella_core::verify::{Check, Code, Judgement};
use stella_store::AttestationRow;

use super::evidence::KnownSignature;
use super::signer::Signer;
use super::{Judged, Question, judge_known, report};
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    pub async fn verify_attestation(
        &self,
        caller: &Caller,
        request: VerifyAttestation,
    ) -> Result<VerdictReport> {
        let question = self.question(caller, &request.times).await?;
        let row = match (&request.attestation, request.last) {
            (Some(id), false) => self.find_attestation(id).await?,
            (None, true) => self.last_row(caller).await?,
            _ => {
                return Err(Error::invalid(
                    "verify.which",
                    "name one attestation: give its id, or --last",
                ));
            }
        };
        if question.known_by.is_some_and(|by| row.created_at > by) {
            return Err(Error::not_found(
                "attestation.unknown",
                format!("{} was not known then: it was created {}", row.id, row.created_at),
            ));
        }
        let known = self
            .known_signatures(&question, [row.pae])
            .await?
            .remove(&row.pae);
        let judged = judge_for(
            &question,
            &row,
            known.unwrap_or_default(),
            request.signer.as_deref(),
        );
        let answer = assemble(&question, &row, &judged);
        let reached = judged.parts.iter().map(|p| (row.id, p)).collect();
        if request.signer.is_none() {
            self.remember(&question, report::Reached(reached)).await;
        }
        self.log_verdict(&question, caller, &answer).await;
        Ok(answer)
    }
}

/// By what this identity asked for alone, where one was named.
pub(super) fn judge_for(
    question: &Question,
    row: &AttestationRow,
    known: Vec<KnownSignature>,
    signer: Option<&str>,
) -> Judged {
    let signer = Signer(signer);
    let judged = judge_known(question, row, signer.of(known));
    match signer.0.filter(|_| !signer.asked_for(row)) {
        Some(pattern) => not_wanted(judged, row, pattern),
        None => judged,
    }
}

pub(super) fn assemble(question: &Question, row: &AttestationRow, judged: &Judged) -> VerdictReport {
    let id = row.id.to_string();
    let mut answer = match judged.deciding() {
        Some(part) => report::of_one(part, question.moment.now),
        None => report::of_one(
            &report::stopped(
                String::new(),
                Check::stop("attestation", judged.code, judged.code.meaning()),
            ),
            question.moment.now,
        ),
    };
    answer.parts = judged
        .parts
        .iter()
        .map(|p| report::part(Some(id.clone()), true, p))
        .collect();
    answer.attestation_id = Some(id);
    answer.next = report::next(&answer, judged.code);
    answer
}

fn not_wanted(judged: Judged, row: &AttestationRow, pattern: &str) -> Judged {
    let code = Code::SignerNotWanted;
    let verb = if row.imported { "imported" } else { "requested" };
    let detail = format!("{verb} by {}, not requested by {pattern}", row.requested.identity);
    let parts: Vec<Judgement> = judged
        .parts
        .into_iter()
        .map(|mut part| {
            part.trace.push(Check::stop("signer", code, detail.clone()));
            part.verdict = code.verdict();
            part.code = code;
            part
        })
        .collect();
    Judged::of(parts)
}
