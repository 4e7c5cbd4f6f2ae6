//! `verify anchor`: everything stored about which one anchor decides.

use std::sync::Arc;

use stella_core::api::verify::{VerdictList, VerdictReport, VerifyAnchor};
use stella_core::id::AnchorId;
use stella_core::trust::TrustState;
use stella_store::{AttestationFilter, AttestationRow};

use super::attestation::{assemble, judge_for};
use super::shared_out::shared_out;
use super::{Judged, claimed_name, report};
use crate::app::attest::cursor;
use crate::app::error::Result;
use crate::app::{App, Caller, values};

impl App {
    /// A page of what is stored, newest first, and the verdicts about what in
    /// it is this anchor's.
    pub async fn verify_anchor(&self, caller: &Caller, request: VerifyAnchor) -> Result<VerdictList> {
        let question = Arc::new(self.question(caller, &request.times).await?);
        let anchor = values::anchor(&question.trust, &request.anchor)?.id;
        let page = self.page(request.limit)?;
        let filter = AttestationFilter {
            before: request.cursor.as_deref().map(cursor).transpose()?,
            limit: page.asked(),
            ..AttestationFilter::default()
        };
        let mut rows = self.store.list_attestations(filter).await?;
        let more = page.cut(&mut rows);
        let scanned = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let next_cursor = rows.last().filter(|_| more).map(|row| row.id.to_string());
        let known_by = question.known_by;
        rows.retain(|row| {
            known_by.is_none_or(|by| row.created_at <= by) && decides(&question.trust, anchor, row)
        });

        let mut known = self
            .known_signatures(&question, rows.iter().map(|row| row.pae))
            .await?;
        let cases: Vec<_> = rows
            .into_iter()
            .map(|row| {
                // Another row of the same statement may want them, too.
                let known = known.get_mut(&row.pae).cloned().unwrap_or_default();
                (row, known)
            })
            .collect();
        let (asked, signer) = (Arc::clone(&question), request.signer.clone());
        let judged: Vec<(AttestationRow, Judged, VerdictReport)> = shared_out(cases, move |(row, known)| {
            let judged = judge_for(&asked, &row, known, signer.as_deref());
            let answer = assemble(&asked, &row, &judged);
            (row, judged, answer)
        })
        .await?;
        if request.signer.is_none() {
            let parts = |(row, judged, _): &'_ (AttestationRow, Judged, _)| -> Vec<_> {
                let id = row.id;
                judged.parts.iter().map(move |part| (id, part.clone())).collect()
            };
            let reached: Vec<_> = judged.iter().flat_map(parts).collect();
            let reached = reached.iter().map(|(id, part)| (*id, part)).collect();
            self.remember(&question, report::Reached(reached)).await;
        }
        let verdicts: Vec<VerdictReport> = judged.into_iter().map(|(_, _, answer)| answer).collect();
        self.log_verdicts(&question, caller, &verdicts).await;
        Ok(VerdictList {
            verdicts,
            scanned: Some(scanned),
            next_cursor,
        })
    }
}

/// Whether it is this anchor that decides about one of the subjects.
pub(in crate::app) fn decides(trust: &TrustState, anchor: AnchorId, row: &AttestationRow) -> bool {
    row.subjects.iter().any(|subject| {
        claimed_name(subject).is_ok_and(|name| trust.deciding(&name).iter().any(|a| a.id == anchor))
    })
}
