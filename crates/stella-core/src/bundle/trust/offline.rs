//! A question answered by a trust bundle alone.

use super::{Refused, SignedBundle};
use crate::api::proofs::ProofVerdict;
use crate::api::verify::{TraceCheck, VerdictReport};
use crate::bundle::proof::ProofBundle;
use crate::time::Timestamp;
use crate::verify::artifact::Artifact;
use crate::verify::ask::{Moments, Wanted};
use crate::verify::proof::{self, Asked, Case, NothingKnown, ProofJudgement};
use crate::verify::{Budget, Check, Code, Moment, SignedStatement, Verifier, document, report};

/// A bundle in use at one moment: signed, and not expired then.
#[derive(Debug, Clone, Copy)]
pub struct Offline<'a> {
    signed: &'a SignedBundle,
    moment: Moment,
    moments: Moments,
}

impl<'a> Offline<'a> {
    /// The verifier's clock may be behind the instance's: it is certainly not
    /// earlier than when the bundle was made. A simulated later verifier
    /// holds a bundle that is as much older.
    pub fn at(signed: &'a SignedBundle, moments: Moments, clock: Timestamp) -> Result<Self, Refused> {
        let bundle = &signed.bundle;
        let now = moments.now.unwrap_or(clock).max(bundle.issued_at);
        if now >= bundle.expires_at {
            let message = format!(
                "trust bundle {} of {} expired {}; it is {now}",
                bundle.number, bundle.issued_at, bundle.expires_at
            );
            return Err(Refused::new(Code::TrustStale, message));
        }
        Ok(Self {
            signed,
            moment: Moment {
                now,
                at_time: moments.at_time,
            },
            moments,
        })
    }

    pub fn document(&self, bytes: &[u8], wanted: &Wanted) -> VerdictReport {
        let answer = document::judge(self.verifier(), wanted, self.open(bytes), &mut self.budget());
        self.under_this_bundle(answer)
    }

    /// One of very many: of what passes nothing is told but that it does.
    pub fn one_of_many(&self, bytes: &[u8], wanted: &Wanted) -> VerdictReport {
        let opened = self.open(bytes);
        let answer = document::judge_briefly(self.verifier(), wanted, opened, &mut self.budget());
        match answer.trace.is_empty() {
            true => answer,
            false => self.under_this_bundle(answer),
        }
    }

    /// Each document with the name to show it by.
    pub fn artifact(&self, artifact: &Artifact, documents: &[(String, Vec<u8>)]) -> VerdictReport {
        let opened = documents
            .iter()
            .map(|(name, bytes)| (name.clone(), self.open(bytes)))
            .collect();
        let answer = document::judge_artifact(self.verifier(), artifact, opened, &mut self.budget());
        self.under_this_bundle(answer)
    }

    /// A proof bundle for what is in it: no time is proven beside its
    /// signatures, and whether something took a member's place is not known.
    pub fn proof(&self, bytes: &[u8], asked: &Asked) -> ProofVerdict {
        let limits = &self.signed.bundle.limits;
        let bound = asked.digest.is_some();
        let read = ProofBundle::parse(bytes, &limits.proof());
        let address = read.as_ref().ok().map(ProofBundle::address);
        let judgement = match &read {
            Err(e) => ProofJudgement::unreadable(e),
            Ok(bundle) => {
                let case = Case {
                    bundle,
                    asked,
                    known: &NothingKnown,
                    limits: &limits.proof(),
                    statements: &limits.statement,
                };
                proof::judge(self.verifier(), case, &mut self.budget())
            }
        };
        let answer = report::of_proof(&judgement, address, None, bound, self.moment.now);
        ProofVerdict {
            id: answer.id,
            report: self.under_this_bundle(answer.report),
        }
    }

    fn open(&self, bytes: &[u8]) -> Result<SignedStatement, Check> {
        document::open(bytes, &self.signed.bundle.limits)
    }

    fn verifier(&self) -> Verifier<'_> {
        let bundle = &self.signed.bundle;
        Verifier {
            trust: &bundle.trust,
            authorities: &bundle.authorities,
            policy: &bundle.policy,
            moment: self.moment,
            min_time_evidence: self.moments.min_time_evidence,
        }
    }

    fn budget(&self) -> Budget {
        Budget::new(self.signed.bundle.policy.limits.max_signature_checks)
    }

    /// By what it was judged stands before how.
    fn under_this_bundle(&self, mut answer: VerdictReport) -> VerdictReport {
        let bundle = &self.signed.bundle;
        let by: Vec<&str> = self.signed.signed_by.iter().map(|id| id.as_str()).collect();
        let detail = format!(
            "offline by trust bundle {} of {}, good until {}, signed by {}",
            bundle.number,
            bundle.issued_at,
            bundle.expires_at,
            by.join(", ")
        );
        let first: Vec<TraceCheck> = report::trace(&[Check::pass("trust", detail)]);
        for part in &mut answer.parts {
            if part.trace == answer.trace {
                part.trace.splice(0..0, first.clone());
            }
        }
        answer.trace.splice(0..0, first);
        answer
    }
}

/// The answer where the bundle itself is not to be used: nothing was judged.
pub fn refusal(refused: &Refused, subject: String, now: Timestamp) -> VerdictReport {
    let check = Check::stop("trust", refused.code, &refused.message);
    let mut answer = report::of_one(&report::stopped(subject, check), now);
    answer.next = report::next(&answer, refused.code);
    answer
}
