//! `proof show` and `proof export`.

use stella_core::api::proofs::{Proof, ProofPart};
use stella_core::bundle::proof::{ProofBundle, SignedPayload};
use stella_core::bundle::spine::{self, Spine};
use stella_core::id::AttestationId;
use stella_core::verify::Verdict;
use stella_store::ProofRow;

use super::create::short;
use crate::app::App;
use crate::app::attest::subject;
use crate::app::error::{Error, ErrorKind, Result};

impl App {
    pub async fn show_proof(&self, address: &str) -> Result<Proof> {
        let row = self.find_proof(address).await?;
        let bundle = self.bundle_of(&row).await?;
        self.proof_view(&row, &bundle).await
    }

    /// The bundle's bytes. The address is theirs, so what does not have it is
    /// not handed out under it.
    pub async fn export_proof(&self, address: &str) -> Result<Vec<u8>> {
        let row = self.find_proof(address).await?;
        let bundle = self.bundle_of(&row).await?;
        if bundle.address() == row.address {
            return Ok(bundle.bytes().to_vec());
        }
        Err(Error::new(
            ErrorKind::Internal,
            "store.corrupt",
            format!(
                "what is stored for sha256:{} has the address sha256:{}",
                row.address,
                bundle.address()
            ),
        )
        .next("stella db verify"))
    }

    pub(super) async fn proof_view(&self, row: &ProofRow, bundle: &ProofBundle) -> Result<Proof> {
        let spine = self.spine_of(row, bundle.spine().payload())?;
        let would = self.would_verify(bundle).await?;
        let id = format!("sha256:{}", row.address);
        let passes = would.verdict == Verdict::Pass.to_string();
        let warning = format!("it would not verify: {} ({})", would.verdict, would.code);
        Ok(Proof {
            state: "signed".to_owned(),
            subject: subject(&spine.subject),
            merkle_root: spine.root.to_hex(),
            spine: part(&row.spine, bundle.spine(), short(spine::PREDICATE_TYPE)),
            members: row
                .members
                .iter()
                .zip(bundle.members())
                .zip(&spine.members)
                .map(|((ids, held), listed)| part(ids, held, short(&listed.predicate_type)))
                .collect(),
            created_by: row.created_by.clone(),
            created_at: row.created_at.to_string(),
            passed_over: Vec::new(),
            repeated: false,
            would_verify: Some(would),
            warnings: (!passes).then_some(warning).into_iter().collect(),
            next: (!passes).then(|| format!("stella verify --proof-bundle {id}")),
            id: Some(id),
        })
    }

    pub(super) fn spine_of(&self, row: &ProofRow, payload: &[u8]) -> Result<Spine> {
        Spine::parse(payload, &self.proof_limits()).map_err(|e| {
            Error::new(
                ErrorKind::Internal,
                "store.corrupt",
                format!("the stored spine of sha256:{} cannot be read: {e}", row.address),
            )
            .next("stella db verify")
        })
    }
}

fn part(ids: &[AttestationId], held: &SignedPayload, predicate_type: String) -> ProofPart {
    ProofPart {
        pae_digest: held.pae_digest().to_hex(),
        predicate_type,
        attestations: ids.iter().map(ToString::to_string).collect(),
        key_ids: key_ids(held),
    }
}

pub(super) fn key_ids(held: &SignedPayload) -> Vec<String> {
    held.signatures().iter().filter_map(|s| s.keyid.clone()).collect()
}
