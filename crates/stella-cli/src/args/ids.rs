//! Ids go positionally or by flag, never both.

use clap::Args;

/// A signing key.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct KeyArg {
    /// The key's id
    #[arg(value_name = "KEY_ID")]
    key: Option<String>,
    /// The same, as a flag
    #[arg(long = "key-id", alias = "key", value_name = "KEY_ID")]
    key_id: Option<String>,
}

/// A trust anchor; a unique prefix will do.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct AnchorArg {
    /// The anchor's id, or a prefix that only it has (550e8400...)
    #[arg(value_name = "ANCHOR_ID")]
    anchor: Option<String>,
    /// The same, as a flag
    #[arg(long = "anchor-id", alias = "anchor", value_name = "ANCHOR_ID")]
    anchor_id: Option<String>,
}

/// One anchor, or ALL that the command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct AnchorsArg {
    /// The anchor's id, a prefix that only it has (550e8400...), or ALL
    #[arg(value_name = "ANCHOR_ID|ALL")]
    anchor: Option<String>,
    /// The same, as a flag
    #[arg(long = "anchor-id", alias = "anchor", value_name = "ANCHOR_ID|ALL")]
    anchor_id: Option<String>,
}

/// An attestation; a unique prefix will do, and `last` is the last one by
/// this identity.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct AttestationArg {
    /// The attestation's id, a prefix that only it has, or `last`
    #[arg(value_name = "ATTESTATION_ID")]
    id: Option<String>,
    /// The same, as a flag
    #[arg(long = "attestation", alias = "id", value_name = "ATTESTATION_ID")]
    attestation: Option<String>,
}

impl KeyArg {
    pub fn id(&self) -> &str {
        either(&self.key, &self.key_id)
    }
}

impl AnchorArg {
    pub fn id(&self) -> &str {
        either(&self.anchor, &self.anchor_id)
    }
}

impl AnchorsArg {
    pub fn id(&self) -> &str {
        either(&self.anchor, &self.anchor_id)
    }
}

impl AttestationArg {
    pub fn id(&self) -> &str {
        either(&self.id, &self.attestation)
    }
}

/// The parser lets exactly one of them through.
fn either<'a>(positional: &'a Option<String>, flag: &'a Option<String>) -> &'a str {
    positional.as_deref().or(flag.as_deref()).unwrap_or_default()
}
