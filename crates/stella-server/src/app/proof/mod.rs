//! Proofs: one file a use case. A proof is a signed spine, which is an
//! ordinary attestation, and the attestations that it lists.

mod create;
mod list;
mod members;
mod show;

pub use list::ProofQuery;

use stella_core::bundle::proof::{ProofBundle, ProofError, SignedPayload};
use stella_core::digest::Sha256;
use stella_core::dsse::Envelope;
use stella_core::id::AttestationId;
use stella_store::{AttestationRow, ProofRow};

use crate::app::App;
use crate::app::error::{Error, ErrorKind, Result};

impl App {
    /// By a whole address, or a prefix that only one has; `sha256:abc123...`
    /// is one.
    pub(crate) async fn find_proof(&self, text: &str) -> Result<ProofRow> {
        let typed = text
            .trim()
            .trim_end_matches("...")
            .trim_end_matches('…')
            .to_ascii_lowercase();
        let prefix = typed.strip_prefix("sha256:").unwrap_or(&typed);
        let unknown = || {
            let shown: String = text.chars().take(80).collect();
            Error::not_found("proof.unknown", format!("no proof {shown} is kept here"))
                .next("stella proof list; a bundle in a file: stella verify --proof-bundle FILE")
        };
        let address = match prefix.parse::<Sha256>() {
            Ok(address) => address,
            Err(_) => {
                let plain = prefix.bytes().all(|b| b.is_ascii_hexdigit());
                if prefix.len() < MIN_PREFIX || !plain {
                    return Err(unknown());
                }
                match self.store.proofs_by_prefix(prefix, 2).await?.as_slice() {
                    [one] => *one,
                    [] => return Err(unknown()),
                    _ => {
                        return Err(Error::invalid(
                            "proof.ambiguous",
                            format!("more than one proof begins with sha256:{prefix}"),
                        )
                        .next("stella proof list"));
                    }
                }
            }
        };
        self.store.proof(&address).await?.ok_or_else(unknown)
    }

    /// The bundle, made again of the stored envelopes.
    pub(crate) async fn bundle_of(&self, proof: &ProofRow) -> Result<ProofBundle> {
        let spine = self.signed_payload(&self.rows(&proof.spine).await?)?;
        let mut members = Vec::with_capacity(proof.members.len());
        for ids in &proof.members {
            members.push(self.signed_payload(&self.rows(ids).await?)?);
        }
        ProofBundle::new(spine, members, &self.proof_limits()).map_err(unfit)
    }

    async fn rows(&self, ids: &[AttestationId]) -> Result<Vec<AttestationRow>> {
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let row = self.store.attestation(*id).await?;
            rows.push(row.ok_or_else(|| damaged(*id, "is not there"))?);
        }
        Ok(rows)
    }

    fn signed_payload(&self, rows: &[AttestationRow]) -> Result<SignedPayload> {
        let envelopes = rows.iter().map(|row| self.envelope_of(row));
        SignedPayload::of(envelopes.collect::<Result<Vec<_>>>()?).map_err(unfit)
    }

    fn envelope_of(&self, row: &AttestationRow) -> Result<Envelope> {
        let signed = row.signed.as_ref().ok_or_else(|| {
            Error::conflict(
                "attestation.unsigned",
                format!("{} is recorded but not signed yet", row.id),
            )
            .next("stella attest retry --failed")
        })?;
        Envelope::parse(&signed.envelope, &self.envelope_limits())
            .map_err(|e| damaged(row.id, &format!("cannot be read: {e}")))
    }
}

/// Shorter ones would name half the store.
const MIN_PREFIX: usize = 4;

/// Too much for one bundle, by the limits of whoever will read it.
fn unfit(error: ProofError) -> Error {
    let setting = match &error {
        ProofError::Json(_) => " (limits.maxBodyBytes)",
        ProofError::TooManyMembers { .. } => " (limits.maxProofMembers)",
        ProofError::TooManySignatures { .. } => " (limits.maxSignatures)",
        _ => "",
    };
    Error::new(
        ErrorKind::TooLarge,
        error.code(),
        format!("this does not fit into a proof bundle: {error}{setting}"),
    )
    .next("name fewer members: stella proof create --subject SUBJECT ID...")
}

fn damaged(id: AttestationId, why: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        "store.corrupt",
        format!("the stored envelope of {id} {why}"),
    )
    .next(format!("stella attest integrity-check {id}"))
}
