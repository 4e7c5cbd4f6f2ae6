//! `verify --bundle`: a document that the asker brings.

use stella_core::api::verify::{VerdictReport, VerifyBundle};
use stella_core::bundle::Document;
use stella_core::dsse::{Envelope, EnvelopeLimits};
use stella_core::statement::StatementLimits;
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
        let opened = match read(&request.document, &self.envelope_limits()) {
            Ok(document) => self.open_document(&question, &document).await?,
            Err(check) => Err(check),
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
        Ok(open(envelope, &known, &self.statement_limits()))
    }
}

/// What cannot be read is judged like everything else.
pub(super) fn read(text: &str, limits: &EnvelopeLimits) -> std::result::Result<Document, Check> {
    Document::parse_lines(text.as_bytes(), limits).map_err(|e| {
        let detail = format!("invalid attestation: {e} ({})", e.code());
        Check::stop("envelope", Code::EnvelopeInvalid, detail)
    })
}

pub(super) fn open(
    envelope: &Envelope,
    known: &[KnownSignature],
    limits: &StatementLimits,
) -> std::result::Result<SignedStatement, Check> {
    let cases = known.iter().map(KnownSignature::case).collect();
    SignedStatement::open(&envelope.payload_type, &envelope.payload, cases, limits)
}
