//! `verify --bundle`: a document that the asker brings.

use stella_core::api::verify::{VerdictReport, VerifyBundle};
use stella_core::bundle::Document;
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
        let opened = match Document::parse_lines(request.document.as_bytes(), &self.envelope_limits()) {
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
        let brought = [(envelope.pae_digest(), envelope.signatures.as_slice())];
        let known = self.known_of(question, &brought).await?.concat();
        let cases = known.iter().map(KnownSignature::case).collect();
        Ok(SignedStatement::open(
            &envelope.payload_type,
            &envelope.payload,
            cases,
            &self.statement_limits(),
        ))
    }
}
