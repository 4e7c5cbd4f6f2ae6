//! `--offline`.

use std::path::PathBuf;

use clap::Args;

use crate::context::Context;
use crate::error::CliError;
use crate::offline::Trust;

/// Without any instance.
#[derive(Args)]
#[command(next_help_heading = "Offline")]
pub(super) struct OfflineArgs {
    /// Judge by a trust bundle alone: no network, no store, no home
    #[arg(long)]
    offline: bool,
    /// What is trusted (stella trust export, on the instance)
    #[arg(long, value_name = "FILE", requires = "offline")]
    trust_bundle: Option<PathBuf>,
    /// Who may say so: the pinned root (stella trust root, on the instance);
    /// else the file that STELLA_TRUST_ROOT names
    #[arg(long, value_name = "FILE", requires = "offline")]
    trust_root: Option<PathBuf>,
    /// Remember the newest trust bundle in this folder, and use no older one
    #[arg(long, value_name = "DIR", requires = "offline")]
    trust_state: Option<PathBuf>,
}

/// Not by the parser: only where `--offline` is said does it mean anything.
fn pinned() -> Option<PathBuf> {
    std::env::var_os("STELLA_TRUST_ROOT")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

impl OfflineArgs {
    pub fn is_asked(&self) -> bool {
        self.offline
    }

    pub fn into_trust(self, context: &Context) -> Result<Trust, CliError> {
        let program = &context.program;
        let bundle = self.trust_bundle.ok_or_else(|| {
            CliError::usage("what is trusted offline was not said: --trust-bundle FILE").next(format!(
                "{program} trust export --out trust.json, on the instance; bring that file here"
            ))
        })?;
        let root = self.trust_root.or_else(pinned).ok_or_else(|| {
            CliError::usage("a trust bundle proves nothing without a root to check it by: --trust-root FILE, or STELLA_TRUST_ROOT")
                .next(format!(
                    "{program} trust root --out root.json, on the instance; bring that file here once, over a channel you trust, and keep it"
                ))
        })?;
        Ok(Trust {
            bundle,
            root,
            state: self.trust_state,
        })
    }
}
