//! What a change of trust means for what is stored: the attestations of a
//! key, judged under two states of trust.

use std::collections::HashSet;
use std::sync::Arc;

use stella_core::digest::Sha256;
use stella_core::dsse::{self, Envelope};
use stella_core::id::AttestationId;
use stella_core::predicate::PredicateType;
use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, TrustState};
use stella_core::verify::{Code, Verdict};
use stella_store::{AttestationFilter, AttestationRow, STORED_ENVELOPE};

use crate::app::App;
use crate::app::error::Result;
use crate::app::verify::Judged;

/// How many rows are in memory at a time: each may hold megabytes.
const PAGE: usize = 50;

/// One attestation under the two states, without its bytes.
pub(crate) struct Compared {
    pub id: AttestationId,
    pub pae: Sha256,
    /// The first subject's name, or its digest.
    pub subject: String,
    pub predicate_type: PredicateType,
    pub requested_by: String,
    pub signed_at: Option<Timestamp>,
    /// SHA-256 of each signature.
    pub signatures: Vec<Sha256>,
    pub before: Verdict,
    pub now: Verdict,
    pub code: Code,
}

#[derive(Default)]
pub(crate) struct Comparison {
    pub rows: Vec<Compared>,
    /// There are more than `limits.maxRejudged`.
    pub cut: bool,
}

impl Comparison {
    /// Those that passed and no longer do.
    pub fn flipped(&self) -> usize {
        self.rows
            .iter()
            .filter(|c| c.before == Verdict::Pass && c.now != Verdict::Pass)
            .count()
    }
}

impl App {
    /// Everything signed by the key, here or elsewhere.
    pub(crate) async fn compare(
        &self,
        key: &KeyRecord,
        before: Arc<TrustState>,
        after: Arc<TrustState>,
    ) -> Result<Comparison> {
        let (ids, cut) = self.signed_by(key).await?;
        let question = self.question_now(after);
        let earlier = question.under(before);
        let mut out = Comparison {
            rows: Vec::with_capacity(ids.len()),
            cut,
        };
        for page in ids.chunks(PAGE) {
            let mut rows = Vec::with_capacity(page.len());
            for id in page {
                rows.extend(self.store.attestation(*id).await?);
            }
            let was = self.judge_many(&earlier, &rows).await?;
            let is = self.judge_many(&question, &rows).await?;
            let judged = rows.iter().zip(was).zip(is);
            out.rows
                .extend(judged.map(|((row, was), is)| compared(row, &was, &is)));
        }
        Ok(out)
    }

    /// What was signed here, then imports that carry a signature of the key:
    /// a thief's work comes in that way. Newest first in each.
    async fn signed_by(&self, key: &KeyRecord) -> Result<(Vec<AttestationId>, bool)> {
        let own = AttestationFilter {
            key_id: Some(key.id.clone()),
            ..AttestationFilter::default()
        };
        let (mut ids, cut) = self.pages(own, |_| true).await?;
        let (imports, more) = self
            .pages(AttestationFilter::default(), |row| {
                row.imported && carries(row, key)
            })
            .await?;
        let known: HashSet<AttestationId> = ids.iter().copied().collect();
        ids.extend(imports.into_iter().filter(|id| !known.contains(id)));
        let max = self.settings.limits.max_rejudged;
        let over = ids.len() > max;
        ids.truncate(max);
        Ok((ids, cut || more || over))
    }

    /// At most `limits.maxRejudged` rows are looked at, and whether there are more.
    async fn pages(
        &self,
        mut filter: AttestationFilter,
        wanted: impl Fn(&AttestationRow) -> bool,
    ) -> Result<(Vec<AttestationId>, bool)> {
        let max = self.settings.limits.max_rejudged;
        let (mut out, mut seen) = (Vec::new(), 0_usize);
        loop {
            filter.limit = PAGE.min(max.saturating_sub(seen)).saturating_add(1);
            let mut page = self.store.list_attestations(filter.clone()).await?;
            let more = page.len() >= filter.limit;
            page.truncate(filter.limit.saturating_sub(1));
            seen = seen.saturating_add(page.len());
            filter.before = page.last().map(|r| r.id);
            out.extend(page.iter().filter(|row| wanted(row)).map(|row| row.id));
            if !more || seen >= max || filter.before.is_none() {
                return Ok((out, more));
            }
        }
    }
}

fn compared(row: &AttestationRow, before: &Judged, now: &Judged) -> Compared {
    let subject = row.subjects.first();
    let envelope = row
        .signed
        .as_ref()
        .and_then(|s| Envelope::parse(&s.envelope, &STORED_ENVELOPE).ok());
    let signatures = envelope.map(|e| e.signatures).unwrap_or_default();
    Compared {
        id: row.id,
        pae: row.pae,
        subject: subject
            .map(|s| s.name.clone().unwrap_or_else(|| s.digest.to_string()))
            .unwrap_or_default(),
        predicate_type: PredicateType::from_wire(&row.predicate_type),
        requested_by: row.requested.identity.clone(),
        signed_at: row.signed.as_ref().map(|s| s.recorded_at),
        signatures: signatures.iter().map(|s| Sha256::of(&s.sig)).collect(),
        before: before.verdict,
        now: now.verdict,
        code: now.code,
    }
}

fn carries(row: &AttestationRow, key: &KeyRecord) -> bool {
    let Some(signed) = &row.signed else {
        return false;
    };
    let Ok(envelope) = Envelope::parse(&signed.envelope, &STORED_ENVELOPE) else {
        return false;
    };
    let pae = dsse::pae(&row.payload_type, &row.payload);
    envelope
        .signatures
        .iter()
        .any(|s| key.public_key.verify(&pae, &s.sig).is_ok())
}
