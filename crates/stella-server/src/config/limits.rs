//! `limits`.

use super::Limits;
use super::section::{Item, Result, Section};

pub fn read(mut section: Section<'_>, limits: &mut Limits) -> Result<()> {
    section.read("maxBodyBytes", &mut limits.max_body_bytes, Item::number)?;
    section.read("maxJsonDepth", &mut limits.max_json_depth, Item::number)?;
    section.read("maxSubjects", &mut limits.max_subjects, Item::number)?;
    section.read("maxSignatures", &mut limits.max_signatures, Item::number)?;
    section.read("maxList", &mut limits.max_list, Item::number)?;
    section.read(
        "maxAttestationsPerArtifact",
        &mut limits.max_attestations_per_artifact,
        Item::number,
    )?;
    section.read("maxRejudged", &mut limits.max_rejudged, Item::number)?;
    section.read("maxProofMembers", &mut limits.max_proof_members, Item::number)?;
    section.finish()
}
