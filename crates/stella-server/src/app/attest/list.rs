//! `attest list`, and the last one of whoever asks.

use stella_core::api::attestations::{Attestation, AttestationList};
use stella_core::id::{AttestationId, KeyId};
use stella_core::predicate::PredicateType;
use stella_core::purl::SubjectName;
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_store::{AttestationFilter, AttestationState, SigningSpan};

use super::view;
use crate::app::error::{Error, Result};
use crate::app::{App, Caller, values};

#[derive(Debug, Clone, Default)]
pub struct AttestationQuery {
    pub state: Option<String>,
    pub predicate_type: Option<String>,
    pub subject: Option<String>,
    pub key_id: Option<String>,
    /// Only those that a standby key signed in the active key's stead.
    pub signed_by_standby: bool,
    pub since: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<usize>,
}

impl App {
    pub async fn list_attestations(&self, query: AttestationQuery) -> Result<AttestationList> {
        let page = self.page(query.limit)?;
        let mut filter = self.filter(&query)?;
        filter.limit = page.asked();
        let trust = self.trust_head().await?;
        filter.signed_in = query.signed_by_standby.then(|| standby_spans(&trust));
        let mut rows = self.store.list_attestations(filter).await?;
        let more = page.cut(&mut rows);
        Ok(AttestationList {
            next_cursor: rows.last().filter(|_| more).map(|r| r.id.to_string()),
            attestations: rows.iter().map(|r| view(r, &trust)).collect(),
        })
    }

    pub async fn last_attestation(&self, caller: &Caller) -> Result<Attestation> {
        let row = self.last_row(caller).await?;
        Ok(view(&row, self.trust_head().await?.as_ref()))
    }

    fn filter(&self, query: &AttestationQuery) -> Result<AttestationFilter> {
        let state = query
            .state
            .as_deref()
            .map(|text| {
                AttestationState::parse(text).ok_or_else(|| {
                    Error::invalid(
                        "attestation.state",
                        format!("{text:?} is not a state: use recorded, signed, failed or held"),
                    )
                })
            })
            .transpose()?;
        let predicate_type = query
            .predicate_type
            .as_deref()
            .map(|t| PredicateType::from_name(t).map_err(|e| Error::invalid("predicate.unknown", e)))
            .transpose()?;
        let subject = query
            .subject
            .as_deref()
            .map(|s| SubjectName::parse(s).map_err(|e| Error::invalid("subject.name", format!("{s:?}: {e}"))))
            .transpose()?;
        let before = query.cursor.as_deref().map(cursor).transpose()?;
        Ok(AttestationFilter {
            state,
            predicate_type: predicate_type.map(|t| t.as_uri().to_owned()),
            subject: subject.map(|s| s.to_string()),
            key_id: query.key_id.as_deref().map(values::key_id).transpose()?,
            since: query
                .since
                .as_deref()
                .map(|t| values::time(t, self.now()))
                .transpose()?,
            before,
            ..AttestationFilter::default()
        })
    }
}

/// Where a page before ended.
pub(in crate::app) fn cursor(text: &str) -> Result<AttestationId> {
    text.parse()
        .map_err(|_| Error::invalid("list.cursor", "this is no cursor of a listing"))
}

/// When which key signed in another's stead.
pub(super) fn standby_spans(trust: &TrustState) -> Vec<SigningSpan> {
    let span = |(key_id, until): (&KeyId, Option<Timestamp>)| SigningSpan {
        key_id: key_id.clone(),
        until,
    };
    trust.standby_spans().map(span).collect()
}
