//! What this server knows about the signatures over a statement.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use stella_core::alg::Seen;
use stella_core::digest::Sha256;
use stella_core::dsse::{Envelope, EnvelopeSignature};
use stella_core::evidence::{Bound, Ledger, TimeClass, TimeEvidence};
use stella_core::id::{AttestationId, KeyId};
use stella_core::time::Timestamp;
use stella_core::trust::TrustState;
use stella_core::verify::SignatureCase;
use stella_store::{AttestationRow, LedgerKey, STORED_ENVELOPE, Signed};

use super::Question;
use crate::app::App;
use crate::app::error::{Error, Result};

/// One signature with everything known about it.
#[derive(Debug, Clone)]
pub(crate) struct KnownSignature {
    pub keyid: Option<String>,
    pub sig: Vec<u8>,
    /// Who asked this server for it; nobody for what was only imported.
    pub requested_by: BTreeSet<String>,
    /// When this server first stored it.
    pub recorded_at: Option<Timestamp>,
    pub ledger: Ledger,
}

impl KnownSignature {
    pub fn case(&self) -> SignatureCase {
        let recorded = self.recorded_at.map(|at| TimeEvidence {
            class: TimeClass::Recorded,
            authority: String::new(),
            bound: Bound::ExistedBy(at),
            accuracy: None,
            recorded_at: at,
        });
        SignatureCase {
            keyid: self.keyid.clone(),
            sig: self.sig.clone(),
            evidence: recorded.into_iter().collect(),
            ledger: self.ledger,
        }
    }

    /// One that was just made over a statement that nobody signed before.
    pub fn made_here(signed: &Signed, seen: &Seen, requested_by: &str) -> Self {
        Self {
            keyid: signed.by.as_ref().map(|by| by.key_id.to_string()),
            sig: seen.signature().to_vec(),
            requested_by: BTreeSet::from([requested_by.to_owned()]),
            recorded_at: Some(signed.recorded_at),
            ledger: Ledger::Signed {
                at: signed.recorded_at,
            },
        }
    }

    fn named<'a>(&self, trust: &'a TrustState) -> Option<&'a stella_core::trust::KeyRecord> {
        let id = self.keyid.as_deref()?.parse::<KeyId>().ok()?;
        trust.keys.get(&id)
    }
}

impl App {
    /// Every stored signature over each of these statements, as far as it was
    /// known at the question's moment; the ledger is asked once for them all.
    pub(crate) async fn known_signatures(
        &self,
        question: &Question,
        paes: impl IntoIterator<Item = Sha256>,
    ) -> Result<HashMap<Sha256, Vec<KnownSignature>>> {
        let mut all = Vec::new();
        for pae in paes.into_iter().map(|p| *p.as_bytes()).collect::<BTreeSet<_>>() {
            let pae = Sha256::from_bytes(pae);
            let rows = self.store.attestations_by_pae(&pae).await?;
            all.push((pae, self.signatures_of(rows, question.known_by)?));
        }
        self.consult_ledger(question, &mut all).await?;
        Ok(all.into_iter().collect())
    }

    /// What is known about these signatures over each statement, and about no
    /// others: a document is judged by what it brings.
    pub(crate) async fn known_of(
        &self,
        question: &Question,
        brought: &[(Sha256, &[EnvelopeSignature])],
    ) -> Result<Vec<Vec<KnownSignature>>> {
        let paes = brought.iter().map(|(pae, _)| *pae);
        let stored = self.known_signatures(question, paes).await?;
        let mut all: Vec<(Sha256, Vec<KnownSignature>)> = brought
            .iter()
            .map(|(pae, signatures)| {
                let stored = stored.get(pae).map(Vec::as_slice).unwrap_or_default();
                (*pae, signatures.iter().map(|s| as_stored(s, stored)).collect())
            })
            .collect();
        self.consult_ledger(question, &mut all).await?;
        Ok(all.into_iter().map(|(_, known)| known).collect())
    }

    /// Fills in what our own record of signing says.
    pub(crate) async fn consult_ledger(
        &self,
        question: &Question,
        all: &mut [(Sha256, Vec<KnownSignature>)],
    ) -> Result<()> {
        // Looked for only when somebody gives no hint.
        let own = LazyCell::new(|| {
            let own = question.trust.keys.values().filter(|key| key.own().is_some());
            own.map(|key| key.public_key.fingerprint()).collect::<Vec<_>>()
        });
        let mut asked = Vec::new();
        for (statement, (pae, signatures)) in all.iter().enumerate() {
            for (index, known) in signatures.iter().enumerate() {
                let signature = Sha256::of(&known.sig);
                // A key id is a hint: without one that is known, any own key may have signed.
                let by = match known.named(&question.trust) {
                    Some(key) => vec![key.public_key.fingerprint()],
                    None => Vec::clone(&own),
                };
                for spki in by {
                    asked.push((
                        (statement, index),
                        LedgerKey {
                            pae: *pae,
                            spki,
                            signature,
                        },
                    ));
                }
            }
        }
        let keys: Vec<LedgerKey> = asked.iter().map(|(_, key)| *key).collect();
        let entries = if keys.is_empty() {
            Vec::new()
        } else {
            self.store.ledger(&keys).await?
        };
        for (((statement, index), _), entry) in asked.into_iter().zip(entries) {
            let known = all.get_mut(statement).and_then(|(_, list)| list.get_mut(index));
            if let (Some(entry), Some(known)) = (entry, known) {
                known.ledger = Ledger::Signed { at: entry.signed_at };
            }
        }
        Ok(())
    }

    fn signatures_of(
        &self,
        mut rows: Vec<AttestationRow>,
        known_by: Option<Timestamp>,
    ) -> Result<Vec<KnownSignature>> {
        rows.sort_by_key(|r| r.signed.as_ref().map(|s| s.recorded_at));
        let mut seen = HashMap::new();
        let mut out: Vec<KnownSignature> = Vec::new();
        for row in rows {
            let Some(signed) = row
                .signed
                .filter(|s| known_by.is_none_or(|by| s.recorded_at <= by))
            else {
                continue;
            };
            let envelope =
                Envelope::parse(&signed.envelope, &STORED_ENVELOPE).map_err(|e| damaged(row.id, &e))?;
            for signature in envelope.signatures {
                // The first to bring a signature proves the earliest time.
                let index = *seen
                    .entry((signature.keyid.clone(), signature.sig.clone()))
                    .or_insert(out.len());
                if index == out.len() {
                    out.push(KnownSignature {
                        keyid: signature.keyid,
                        sig: signature.sig,
                        requested_by: BTreeSet::new(),
                        recorded_at: Some(signed.recorded_at),
                        ledger: Ledger::Unknown,
                    });
                }
                if let Some(known) = out.get_mut(index).filter(|_| !row.imported) {
                    known.requested_by.insert(row.requested.identity.clone());
                }
            }
        }
        Ok(out)
    }
}

fn as_stored(signature: &EnvelopeSignature, stored: &[KnownSignature]) -> KnownSignature {
    KnownSignature {
        keyid: signature.keyid.clone(),
        sig: signature.sig.clone(),
        requested_by: BTreeSet::new(),
        // The first to bring the same bytes, whatever key id it came with.
        recorded_at: stored
            .iter()
            .filter(|k| k.sig == signature.sig)
            .filter_map(|k| k.recorded_at)
            .min(),
        ledger: Ledger::Unknown,
    }
}

/// At most `limit` signatures to judge a statement by. Whoever may import
/// must not be able to crowd out the good ones, so where there are too many,
/// those that verify come first, and of each key the ledgered and oldest.
pub(crate) fn choose(
    trust: &TrustState,
    pae: impl FnOnce() -> Vec<u8>,
    mut known: Vec<KnownSignature>,
    limit: usize,
) -> Vec<KnownSignature> {
    known.sort_by_key(|k| (!matches!(k.ledger, Ledger::Signed { .. }), k.recorded_at));
    if known.len() <= limit {
        return known;
    }
    let pae = pae();
    let mut best = BTreeMap::new();
    let (mut rest, mut order) = (Vec::new(), 0_usize);
    for signature in known {
        match signature.named(trust) {
            Some(key) => {
                let id = key.id.clone();
                if !best.contains_key(&id) && key.public_key.verify(&pae, &signature.sig).is_ok() {
                    order += 1;
                    best.insert(id, (order, signature));
                }
            }
            None => rest.push(signature),
        }
    }
    let mut best: Vec<_> = best.into_values().collect();
    best.sort_by_key(|(order, _)| *order);
    best.into_iter().map(|(_, s)| s).chain(rest).take(limit).collect()
}

fn damaged(id: AttestationId, why: &dyn std::fmt::Display) -> Error {
    Error::new(
        crate::app::ErrorKind::Internal,
        "store.corrupt",
        format!("the stored envelope of {id} cannot be read: {why}"),
    )
    .next(format!("stella attest integrity-check {id}"))
}
