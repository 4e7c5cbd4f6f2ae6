//! `verify --bundles`: many documents with one request.

use std::collections::BTreeMap;
use std::sync::Arc;

use stella_core::api::verify::{VerdictList, VerifyBundles};
use stella_core::dsse::EnvelopeSignature;
use stella_core::verify::ask::Wanted;
use stella_core::verify::document;

use super::bundle::{open, read};
use super::shared_out::shared_out;
use crate::app::error::{Error, Result};
use crate::app::{App, Caller};

impl App {
    /// Each is judged by itself, as `verify --bundle` would; the ledger is
    /// asked once for them all.
    pub async fn verify_bundles(&self, caller: &Caller, request: VerifyBundles) -> Result<VerdictList> {
        let max = self.settings.limits.max_list;
        if request.documents.len() > max {
            return Err(Error::invalid(
                "verify.too-many",
                format!("at most {max} documents are judged with one request (limits.maxList)"),
            ));
        }
        let question = Arc::new(self.question(caller, &request.times).await?);
        let wanted = Arc::new(Wanted::parse(BTreeMap::new(), None, &request.require_types)?);
        let limits = self.envelope_limits();
        let read = shared_out(request.documents, move |text| {
            read(&text, &limits).map(|document| {
                let envelope = document.envelope;
                (envelope.pae_digest(), envelope)
            })
        })
        .await?;
        let brought: Vec<(_, &[EnvelopeSignature])> = read
            .iter()
            .flatten()
            .map(|(pae, envelope)| (*pae, envelope.signatures.as_slice()))
            .collect();
        let mut known = self.known_of(&question, &brought).await?.into_iter();
        let cases: Vec<_> = read
            .into_iter()
            .map(|read| read.map(|(_, envelope)| (envelope, known.next().unwrap_or_default())))
            .collect();
        let statements = self.statement_limits();
        let asked = Arc::clone(&question);
        let verdicts = shared_out(cases, move |case| {
            let opened = case.and_then(|(envelope, known)| open(&envelope, &known, &statements));
            document::judge(asked.verifier(), &wanted, opened, &mut asked.budget())
        })
        .await?;
        self.log_verdicts(&question, caller, &verdicts).await;
        Ok(VerdictList {
            verdicts,
            scanned: None,
            next_cursor: None,
        })
    }
}
