//! `attest wait`.

use std::time::Duration;

use clap::Args;
use stella_core::api::attestations::{Attestation, AttestationDetails};
use tokio::time::Instant;

use super::{describe_all, exit_of, remark, resolve};
use crate::api::{Api, Route};
use crate::args::period::Period;
use crate::context::{Context, Outcome};
use crate::error::CliError;

/// Wait until attestations are signed
#[derive(Args)]
pub struct Wait {
    /// Attestations, by id or unique prefix
    #[arg(value_name = "ATTESTATION_ID", required_unless_present = "attestation")]
    ids: Vec<String>,
    /// The same, as a flag
    #[arg(long, value_name = "ATTESTATION_ID")]
    attestation: Vec<String>,
    /// Longest time to wait
    #[arg(long, default_value = "60s", value_name = "PERIOD")]
    timeout: Period,
    /// Recorded but not yet signed is good enough: end with 0
    #[arg(long)]
    accept_recorded: bool,
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

impl Wait {
    pub async fn run(self, context: &Context) -> Outcome {
        let limit = Duration::from_secs(self.timeout.seconds_from(context.now()));
        let deadline = Instant::now() + limit;
        let api = context.api().await?;
        let mut attestations = Vec::new();
        for id in self.ids.iter().chain(&self.attestation) {
            let id = resolve(&api, id).await?;
            attestations.push(until_settled(&api, &id, deadline).await?);
        }
        context
            .printer
            .answer(&attestations, |page| describe_all(page, &attestations))?;
        for attestation in &attestations {
            remark(context, attestation);
        }
        Ok(exit_of(&attestations, self.accept_recorded))
    }
}

/// Signed, set aside, or out of time.
async fn until_settled(api: &Api, id: &str, deadline: Instant) -> Result<Attestation, CliError> {
    let route = Route::to(&["attestations", id]);
    loop {
        let attestation = api.get::<AttestationDetails>(&route).await?.attestation;
        if attestation.state != "recorded" || Instant::now() >= deadline {
            return Ok(attestation);
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + BETWEEN_LOOKS)).await;
    }
}
