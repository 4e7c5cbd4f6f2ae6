//! `verify --bundle`: a document that the asker brings.

use std::collections::BTreeSet;

use stella_core::api::verify::{VerdictReport, VerifyBundle};
use stella_core::bundle::Document;
use stella_core::evidence::Ledger;
use stella_core::verify::ask::Wanted;
use stella_core::verify::{Check, Code, SignedStatement, document};

use super::Question;
use super::evidence::KnownSignature;
use crate::app::error::Result;
use crate::app::{App, Caller};

impl App {
    pub async fn verify_bundle(&self, caller: &Caller, request: VerifyBundle) -> Result<VerdictReport> {
        let question = self.question(caller, &request.times).await?;
        let wanted = Wanted::parse(request.digests, request.purl.as_deref(), &request.require_types)?;
        let opened = match Document::parse(request.document.as_bytes(), &self.envelope_limits()) {
            Ok(document) => self.open_document(&question, &document).await?,
            Err(e) => {
                let detail = format!("invalid attestation: {e} ({})", e.code());
                Err(Check::stop("envelope", Code::EnvelopeInvalid, detail))
            }
        };
        let answer = document::judge(question.verifier(), &wanted, opened, &mut question.budget());
        self.log_verdict(&question, caller, &answer).await;
        Ok(answer)
    }

    /// The document's signatures alone, with what this server knows of them.
    async fn open_document(
        &self,
        question: &Question,
        document: &Document,
    ) -> Result<std::result::Result<SignedStatement, Check>> {
        let envelope = &document.envelope;
        let pae = envelope.pae_digest();
        let stored = self.known_signatures(question, [pae]).await?.remove(&pae);
        let stored = stored.unwrap_or_default();
        let known = envelope
            .signatures
            .iter()
            .map(|s| KnownSignature {
                keyid: s.keyid.clone(),
                sig: s.sig.clone(),
                requested_by: BTreeSet::new(),
                // The first to bring the same bytes, whatever key id it came with.
                recorded_at: stored
                    .iter()
                    .filter(|k| k.sig == s.sig)
                    .filter_map(|k| k.recorded_at)
                    .min(),
                ledger: Ledger::Unknown,
            })
            .collect();
        let mut all = [(pae, known)];
        self.consult_ledger(question, &mut all).await?;
        let [(_, known)] = all;
        let cases = known.iter().map(KnownSignature::case).collect();
        Ok(SignedStatement::open(
            &envelope.payload_type,
            &envelope.payload,
            cases,
            &self.statement_limits(),
        ))
    }
}
