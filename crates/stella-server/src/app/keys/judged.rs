//! What a change of trust means for what is stored: the attestations of a
//! key, judged under two states of trust.

use std::fmt;
use std::str::FromStr;
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
use crate::app::error::{Error, Result};
use crate::app::verify::{Judged, Question};

/// How many rows are in memory at a time: each may hold megabytes.
pub(crate) const PAGE: usize = 50;

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

/// Where a walk over what a key signed stands: first what was signed here,
/// then imports that carry a signature of the key, for a thief's work comes in
/// that way. Newest first in each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    pub imports: bool,
    pub before: Option<AttestationId>,
}

/// As it stands in a cursor.
impl fmt::Display for Walked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = if self.imports { "imports" } else { "own" };
        match self.before {
            Some(before) => write!(f, "{part}.{before}"),
            None => f.write_str(part),
        }
    }
}

impl FromStr for Walked {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (part, before) = match text.split_once('.') {
            Some((part, before)) => (part, Some(crate::app::attest::cursor(before)?)),
            None => (text, None),
        };
        match part {
            "own" | "imports" => Ok(Self {
                imports: part == "imports",
                before,
            }),
            _ => Err(Error::invalid("list.cursor", "this is no cursor of a listing")),
        }
    }
}

/// Rows of a key, how many were looked at for them, and where to go on.
pub(crate) struct KeyPage {
    pub rows: Vec<AttestationRow>,
    pub seen: usize,
    pub next: Option<Walked>,
}

impl App {
    /// Everything signed by the key, here or elsewhere, as far as
    /// `limits.maxRejudged` allows.
    pub(crate) async fn compare(
        &self,
        key: &KeyRecord,
        before: Arc<TrustState>,
        after: Arc<TrustState>,
    ) -> Result<Comparison> {
        let max = self.settings.limits.max_rejudged;
        let question = self.question_now(after);
        let earlier = question.under(before);
        let mut out = Comparison::default();
        let (mut at, mut seen) = (Some(Walked::default()), 0);
        while let Some(walked) = at {
            if seen >= max {
                out.cut = true;
                break;
            }
            let page = self.signed_by(key, walked, PAGE.min(max - seen)).await?;
            seen += page.seen;
            at = page.next;
            out.rows
                .extend(self.compare_rows(&earlier, &question, &page.rows).await?);
        }
        Ok(out)
    }

    /// One page of it, and where to go on.
    pub(crate) async fn compare_page(
        &self,
        key: &KeyRecord,
        before: Arc<TrustState>,
        after: Arc<TrustState>,
        walked: Walked,
        limit: usize,
    ) -> Result<(Comparison, Option<Walked>)> {
        let question = self.question_now(after);
        let earlier = question.under(before);
        let mut out = Comparison::default();
        let (mut at, mut left) = (Some(walked), limit);
        while let Some(walked) = at.filter(|_| left > 0) {
            let page = self.signed_by(key, walked, PAGE.min(left)).await?;
            // A page of imports without one of this key still was a page.
            left = left.saturating_sub(page.seen.max(1));
            at = page.next;
            out.rows
                .extend(self.compare_rows(&earlier, &question, &page.rows).await?);
        }
        Ok((out, at))
    }

    async fn compare_rows(
        &self,
        earlier: &Question,
        question: &Question,
        rows: &[AttestationRow],
    ) -> Result<Vec<Compared>> {
        let was = self.judge_many(earlier, rows).await?;
        let is = self.judge_many(question, rows).await?;
        let judged = rows.iter().zip(was).zip(is);
        Ok(judged.map(|((row, was), is)| compared(row, &was, &is)).collect())
    }

    /// The next rows of the walk.
    pub(crate) async fn signed_by(&self, key: &KeyRecord, walked: Walked, limit: usize) -> Result<KeyPage> {
        let filter = AttestationFilter {
            key_id: (!walked.imports).then(|| key.id.clone()),
            imported: walked.imports.then_some(true),
            before: walked.before,
            limit: limit.saturating_add(1),
            ..AttestationFilter::default()
        };
        let mut rows = self.store.list_attestations(filter).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let seen = rows.len();
        let next = match rows.last().filter(|_| more) {
            Some(last) => Some(Walked {
                before: Some(last.id),
                ..walked
            }),
            None => (!walked.imports).then_some(Walked {
                imports: true,
                before: None,
            }),
        };
        if walked.imports {
            // One that has the key's id was among its own.
            rows.retain(|row| {
                row.signed.as_ref().and_then(|s| s.key_id.as_ref()) != Some(&key.id) && carries(row, key)
            });
        }
        Ok(KeyPage { rows, seen, next })
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
