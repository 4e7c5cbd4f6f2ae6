//! `trust`.

use std::time::Duration;

use super::section::{Item, Result, Section};

/// Of the bundles that offline verifiers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSettings {
    /// How long a bundle is good for that was asked for without `--expires`.
    pub bundle_lifetime: Duration,
    /// None is good for longer: as long, a revocation may be missing from it.
    pub max_bundle_lifetime: Duration,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self {
            bundle_lifetime: Duration::from_secs(14 * 86_400),
            max_bundle_lifetime: Duration::from_secs(90 * 86_400),
        }
    }
}

pub fn read(mut section: Section<'_>, trust: &mut TrustSettings) -> Result<()> {
    section.read("bundleLifetime", &mut trust.bundle_lifetime, Item::duration)?;
    section.read(
        "maxBundleLifetime",
        &mut trust.max_bundle_lifetime,
        Item::duration,
    )?;
    section.finish()
}
