//! `trust inspect`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use stella_core::bundle::trust::{FeedKey, Refused, SignedBundle, TrustBundle, TrustRoot};
use stella_core::digest::Sha256;

use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::offline;
use crate::printer::Page;

/// What a trust bundle or a root says; asks no instance
#[derive(Args)]
pub struct Inspect {
    /// The trust bundle or the root
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Check it by this pinned root: a bundle's signature, or that a new root
    /// may take the pinned one's place
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Shown {
    TrustBundle(BundleShown),
    TrustRoot(RootShown),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleShown {
    instance: String,
    number: u64,
    issued_at: String,
    expires_at: String,
    expired: bool,
    log_events: u64,
    log_entries: u64,
    log_hash: String,
    keys: usize,
    anchors: Vec<AnchorShown>,
    withdrawn: usize,
    /// Absent where no root was given to check it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnchorShown {
    id: String,
    purl_pattern: String,
    status: String,
    policy_version: String,
    keys: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RootShown {
    instance: String,
    number: u64,
    threshold: u32,
    root_keys: Vec<KeyShown>,
    feed_keys: Vec<KeyShown>,
    sha256: String,
    /// Absent where no root was given to check it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyShown {
    key_id: String,
    algorithm: String,
    fingerprint: String,
}

impl Inspect {
    pub async fn run(self, context: &Context) -> Outcome {
        self.run_here(context)
    }

    pub fn run_here(self, context: &Context) -> Outcome {
        let bytes = offline::read(&self.file)?;
        let pinned = match &self.trust_root {
            Some(path) => Some(TrustRoot::parse(&offline::read(path)?).map_err(|e| refused(&e))?),
            None => None,
        };
        let shown = match TrustRoot::parse(&bytes) {
            Ok(root) => Shown::TrustRoot(show_root(&root, &bytes, pinned.as_ref())?),
            Err(no_root) => match show_bundle(&bytes, pinned.as_ref(), context) {
                Ok(bundle) => Shown::TrustBundle(bundle),
                // A damaged root is told as a root.
                Err(_) if is_root(&bytes) => return Err(refused(&no_root)),
                Err(no_bundle) => return Err(no_bundle),
            },
        };
        context.printer.answer(&shown, |page| match &shown {
            Shown::TrustBundle(bundle) => describe_bundle(page, bundle),
            Shown::TrustRoot(root) => describe_root(page, root),
        })?;
        Ok(Exit::Done)
    }
}

fn is_root(bytes: &[u8]) -> bool {
    use stella_core::bundle::trust::{LIMITS, ROOT_PAYLOAD_TYPE};
    stella_core::dsse::Envelope::parse(bytes, &LIMITS).is_ok_and(|e| e.payload_type == ROOT_PAYLOAD_TYPE)
}

fn refused(why: &Refused) -> CliError {
    CliError::new(Exit::Indeterminate, why.code.as_str(), &why.message).next(why.code.mend())
}

fn show_root(root: &TrustRoot, bytes: &[u8], pinned: Option<&TrustRoot>) -> Result<RootShown, CliError> {
    if let Some(pinned) = pinned.filter(|pinned| *pinned != root) {
        root.follows(pinned).map_err(|e| refused(&e))?;
    }
    let content = root.content();
    let keys = |keys: &[FeedKey]| {
        keys.iter()
            .map(|key| KeyShown {
                key_id: key.id.to_string(),
                algorithm: key.public_key.algorithm().to_string(),
                fingerprint: key.public_key.fingerprint().to_hex(),
            })
            .collect()
    };
    Ok(RootShown {
        instance: content.instance.to_string(),
        number: content.number,
        threshold: content.threshold,
        root_keys: keys(&content.root_keys),
        feed_keys: keys(&content.feed_keys),
        sha256: Sha256::of(bytes).to_hex(),
        follows: pinned.map(TrustRoot::number),
    })
}

fn show_bundle(bytes: &[u8], pinned: Option<&TrustRoot>, context: &Context) -> Result<BundleShown, CliError> {
    let (bundle, signed_by) = match pinned {
        Some(root) => {
            let signed = SignedBundle::open(bytes, root).map_err(|e| refused(&e))?;
            let by = signed.signed_by.iter().map(ToString::to_string).collect();
            (signed.bundle, Some(by))
        }
        None => (TrustBundle::read_unchecked(bytes).map_err(|e| refused(&e))?, None),
    };
    let anchors = bundle.trust.anchors.values().map(|anchor| AnchorShown {
        id: anchor.id.to_string(),
        purl_pattern: anchor.pattern.to_string(),
        status: anchor.status.to_string(),
        policy_version: anchor.policy_version.to_string(),
        keys: anchor.keys.iter().map(|k| k.key_id.to_string()).collect(),
    });
    Ok(BundleShown {
        instance: bundle.instance.to_string(),
        number: bundle.number,
        issued_at: bundle.issued_at.to_string(),
        expires_at: bundle.expires_at.to_string(),
        expired: context.now() >= bundle.expires_at,
        log_events: bundle.log.events,
        log_entries: bundle.log.entries,
        log_hash: bundle.log.hash.to_hex(),
        keys: bundle.trust.keys.size(),
        anchors: anchors.collect(),
        withdrawn: bundle.trust.withdrawn.size(),
        signed_by,
    })
}

fn describe_bundle(page: &mut Page, bundle: &BundleShown) {
    page.line(format!("trust bundle {}", bundle.number));
    page.field("  instance", &bundle.instance);
    page.field("  issued", &bundle.issued_at);
    let expired = if bundle.expired { " (expired)" } else { "" };
    page.field("  good until", format!("{}{expired}", bundle.expires_at));
    match &bundle.signed_by {
        Some(keys) => page.field("  signed by", keys.join(", ")),
        None => page.field("  signed by", "not checked: give --trust-root FILE"),
    }
    page.field(
        "  log",
        format!(
            "{} events, {} signatures, {}",
            bundle.log_events, bundle.log_entries, bundle.log_hash
        ),
    );
    page.field("  keys", bundle.keys);
    page.field("  withdrawn", bundle.withdrawn);
    for anchor in &bundle.anchors {
        page.field(
            "  anchor",
            format!(
                "{} {} ({}, {}): {}",
                anchor.id,
                anchor.purl_pattern,
                anchor.status,
                anchor.policy_version,
                anchor.keys.join(", ")
            ),
        );
    }
}

fn describe_root(page: &mut Page, root: &RootShown) {
    page.line(format!("trust root {}", root.number));
    page.field("  instance", &root.instance);
    page.field(
        "  threshold",
        format!("{} of {}", root.threshold, root.root_keys.len()),
    );
    for key in &root.root_keys {
        page.field(
            "  root key",
            format!("{} {} {}", key.key_id, key.algorithm, key.fingerprint),
        );
    }
    for key in &root.feed_keys {
        page.field(
            "  feed key",
            format!("{} {} {}", key.key_id, key.algorithm, key.fingerprint),
        );
    }
    page.field("  sha256", &root.sha256);
    match root.follows {
        Some(number) if number == root.number => page.field("  checked", "the pinned root itself"),
        Some(number) => page.field("  checked", format!("may take the place of root {number}")),
        None => page.field(
            "  checked",
            "only by its own keys: compare the sha256 with the instance's",
        ),
    }
}
