//! `proof show`.

use clap::Args;
use stella_core::api::proofs::Proof;

use super::{describe, remark};
use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Show what a proof is made of, and whether it passes
#[derive(Args)]
pub struct Show {
    /// The proof's address, sha256:HEX, or a prefix that only it has
    #[arg(value_name = "ADDRESS")]
    address: String,
}

impl Show {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["proofs", &self.address]);
        let proof: Proof = context.api().await?.get(&route).await?;
        context.printer.answer(&proof, |page| describe(page, &proof))?;
        remark(context, &proof);
        Ok(Exit::Done)
    }
}
