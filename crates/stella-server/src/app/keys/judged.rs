//! What a change of trust means for what is stored: the attestations of a
//! key, judged under two states of trust.

use std::collections::HashSet;
use std::sync::Arc;

use stella_core::dsse::{self, Envelope};
use stella_core::id::AttestationId;
use stella_core::trust::{KeyRecord, TrustState};
use stella_core::verify::{Code, Verdict};
use stella_store::{AttestationFilter, AttestationRow, STORED_ENVELOPE};

use crate::app::App;
use crate::app::error::Result;

/// How many rows are read at a time.
const PAGE: usize = 500;

/// One attestation under the two states.
pub(crate) struct Compared {
    pub row: AttestationRow,
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
        let (rows, cut) = self.signed_by(key).await?;
        let question = self.question_now(after);
        let earlier = question.under(before);
        let mut out = Comparison {
            rows: Vec::with_capacity(rows.len()),
            cut,
        };
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let page: Vec<AttestationRow> = rows.by_ref().take(PAGE).collect();
            let was = self.judge_many(&earlier, &page).await?;
            let is = self.judge_many(&question, &page).await?;
            out.rows.extend(
                page.into_iter()
                    .zip(was)
                    .zip(is)
                    .map(|((row, was), is)| Compared {
                        row,
                        before: was.verdict,
                        now: is.verdict,
                        code: is.code,
                    }),
            );
        }
        Ok(out)
    }

    /// What was signed here, then imports that carry a signature of the key:
    /// a thief's work comes in that way. Newest first in each.
    async fn signed_by(&self, key: &KeyRecord) -> Result<(Vec<AttestationRow>, bool)> {
        let own = AttestationFilter {
            key_id: Some(key.id.clone()),
            ..AttestationFilter::default()
        };
        let (mut rows, cut) = self.pages(own, |_| true).await?;
        let (imports, more) = self
            .pages(AttestationFilter::default(), |row| {
                row.imported && carries(row, key)
            })
            .await?;
        let known: HashSet<AttestationId> = rows.iter().map(|r| r.id).collect();
        rows.extend(imports.into_iter().filter(|r| !known.contains(&r.id)));
        let max = self.settings.limits.max_rejudged;
        let over = rows.len() > max;
        rows.truncate(max);
        Ok((rows, cut || more || over))
    }

    /// At most `limits.maxRejudged` rows are looked at, and whether there are more.
    async fn pages(
        &self,
        mut filter: AttestationFilter,
        wanted: impl Fn(&AttestationRow) -> bool,
    ) -> Result<(Vec<AttestationRow>, bool)> {
        let max = self.settings.limits.max_rejudged;
        let (mut out, mut seen) = (Vec::new(), 0_usize);
        loop {
            filter.limit = PAGE.min(max.saturating_sub(seen)).saturating_add(1);
            let mut page = self.store.list_attestations(filter.clone()).await?;
            let more = page.len() >= filter.limit;
            page.truncate(filter.limit.saturating_sub(1));
            seen = seen.saturating_add(page.len());
            filter.before = page.last().map(|r| r.id);
            out.extend(page.into_iter().filter(&wanted));
            if !more || seen >= max || filter.before.is_none() {
                return Ok((out, more));
            }
        }
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
