//! `verify attestation`.

use clap::Args;
use stella_core::api::verify::VerifyAttestation;

use super::{Question, report};
use crate::api::Route;
use crate::context::{Context, Outcome};

/// Judge a stored attestation; every subject must pass
#[derive(Args)]
pub(super) struct Attestation {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    question: Question,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The attestation's id, or a prefix that only it has
    #[arg(value_name = "ATTESTATION_ID")]
    id: Option<String>,
    /// The same, as a flag
    #[arg(long, alias = "id", value_name = "ATTESTATION_ID")]
    attestation: Option<String>,
    /// The last one by this identity
    #[arg(long)]
    last: bool,
}

impl Attestation {
    pub async fn run(self, context: &Context) -> Outcome {
        let (times, signer) = self.question.into_parts();
        let given = self.which.id.or(self.which.attestation);
        let request = VerifyAttestation {
            last: self.which.last || given.as_deref() == Some("last"),
            attestation: given.filter(|id| id != "last"),
            signer,
            times,
        };
        let route = Route::to(&["verify", "attestation"]);
        let verdict = context.api().await?.post(&route, &request).await?;
        report::answer(context, &verdict)
    }
}
