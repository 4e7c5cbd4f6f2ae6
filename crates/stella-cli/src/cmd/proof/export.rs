//! `proof export`.

use std::path::PathBuf;

use clap::Args;

use crate::api::Route;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Write a proof bundle as it is: its SHA-256 is its address
#[derive(Args)]
pub struct Export {
    /// The proof's address, sha256:HEX, or a prefix that only it has
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Write it here (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["proofs", &self.address, "bundle"]);
        let bytes = context.api().await?.bytes(&route).await?;
        match &self.out {
            Some(out) => {
                files::write_atomically(out, &bytes)?;
                context.printer.detail(&format!("wrote {}", out.display()));
            }
            None => context.printer.raw(&bytes)?,
        }
        Ok(Exit::Done)
    }
}
