//! `verify`.

use stella_core::verify::VerifyPolicy;

use super::section::{Item, Result, Section};

pub fn read(mut section: Section<'_>, verify: &mut VerifyPolicy) -> Result<()> {
    section.read("ownOperator", &mut verify.own_operator, Item::text)?;
    section.read("requirePurl", &mut verify.require_purl, Item::flag)?;
    section.read(
        "recordedForCompromise",
        &mut verify.recorded_for_compromise,
        Item::flag,
    )?;
    section.read("maxSignatures", &mut verify.limits.max_signatures, Item::number)?;
    section.read(
        "maxSignatureChecks",
        &mut verify.limits.max_signature_checks,
        Item::number,
    )?;
    section.finish()
}
