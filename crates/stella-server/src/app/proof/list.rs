//! `proof list`.

use stella_core::api::proofs::{ProofList, ProofSummary};
use stella_core::digest::Sha256;
use stella_core::purl::SubjectName;
use stella_core::statement::DigestSet;
use stella_store::{ProofFilter, ProofRow};

use super::create::short;
use crate::app::App;
use crate::app::attest::subject;
use crate::app::error::{Error, Result};

#[derive(Debug, Clone, Default)]
pub struct ProofQuery {
    /// A name, or `sha256:HEX`.
    pub subject: Option<String>,
    /// Only those that hold it.
    pub attestation: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

impl App {
    pub async fn list_proofs(&self, query: ProofQuery) -> Result<ProofList> {
        let page = self.page(query.limit)?;
        let mut filter = self.proof_filter(query).await?;
        filter.limit = page.asked();
        let mut rows = self.store.list_proofs(filter).await?;
        let more = page.cut(&mut rows);
        let mut proofs = Vec::with_capacity(rows.len());
        for row in &rows {
            proofs.push(self.summary(row).await?);
        }
        Ok(ProofList {
            next_cursor: proofs.last().filter(|_| more).map(|p| p.id.clone()),
            proofs,
        })
    }

    async fn summary(&self, row: &ProofRow) -> Result<ProofSummary> {
        let spine = self.rows(row.spine.get(..1).unwrap_or_default()).await?;
        let payload = spine.first().map(|r| r.payload.as_slice()).unwrap_or_default();
        let spine = self.spine_of(row, payload)?;
        Ok(ProofSummary {
            id: format!("sha256:{}", row.address),
            subject: subject(&spine.subject),
            predicate_types: spine.members.iter().map(|m| short(&m.predicate_type)).collect(),
            created_by: row.created_by.clone(),
            created_at: row.created_at.to_string(),
        })
    }

    async fn proof_filter(&self, query: ProofQuery) -> Result<ProofFilter> {
        let mut filter = ProofFilter::default();
        match query.subject.as_deref().map(|s| (s, DigestSet::parse_spec(s))) {
            Some((_, Ok(digest))) if digest.accepted().next().is_some() => {
                filter.digest = digest
                    .accepted()
                    .next()
                    .map(|(algorithm, hex)| (algorithm.to_owned(), hex.to_owned()));
            }
            Some((text, _)) => {
                let name = SubjectName::parse(text)
                    .map_err(|e| Error::invalid("subject.name", format!("{text:?}: {e}")))?;
                filter.subject = Some(name.to_string());
            }
            None => {}
        }
        if let Some(id) = query.attestation {
            filter.attestation = Some(self.find_attestation(&id).await?.id);
        }
        filter.before = query
            .cursor
            .map(|c| {
                c.parse::<Sha256>()
                    .map_err(|_| Error::invalid("list.cursor", "this is no cursor of a listing"))
            })
            .transpose()?;
        Ok(filter)
    }
}
