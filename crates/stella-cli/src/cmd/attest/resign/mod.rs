//! `attest resign`: one, or all that a key signed.

mod all;

use clap::Args;
use stella_core::api::attestations::{Attestation, Resign as Request};

use super::{describe, exit_of, remark, resolve};
use crate::api::{Api, Route};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use all::{All, Of};

/// Sign the same statement with a current key
#[derive(Args)]
pub struct Resign {
    #[command(flatten)]
    what: What,
    /// With --key: everything that the key signed and that still stands
    #[arg(long, requires = "key", conflicts_with = "reviewed")]
    all: bool,
    /// Default: the profile that signed it
    #[arg(long)]
    profile: Option<String>,
    /// Who looked at it and what they found; needed where the ledger cannot
    /// vouch for the old signature
    #[arg(long, value_name = "NOTE")]
    reviewed: Option<String>,
    /// Only show what would be signed
    #[arg(long, conflicts_with_all = ["id", "attestation"])]
    dry_run: bool,
    /// Recorded but not yet signed is good enough: end with 0
    #[arg(long)]
    accept_recorded: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The attestation's id, a prefix that only it has, or `last`
    #[arg(value_name = "ATTESTATION_ID")]
    id: Option<String>,
    /// The same, as a flag
    #[arg(long = "attestation", alias = "id", value_name = "ATTESTATION_ID")]
    attestation: Option<String>,
    /// All that a standby key signed in the active key's stead
    #[arg(long)]
    signed_by_standby: bool,
    /// All that this key signed (with --all)
    #[arg(long, alias = "key-id", value_name = "KEY_ID", requires = "all")]
    key: Option<String>,
}

impl Resign {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        if let Some(id) = self.what.id.as_ref().or(self.what.attestation.as_ref()) {
            let id = resolve(&api, id).await?;
            return self.one(context, &api, &id).await;
        }
        let of = match self.what.key {
            Some(key) => Of::Key(key),
            None => Of::Standby,
        };
        let all = All {
            of,
            profile: self.profile,
            dry_run: self.dry_run,
            accept_recorded: self.accept_recorded,
        };
        all.run(api, context).await
    }

    async fn one(&self, context: &Context, api: &Api, id: &str) -> Outcome {
        let request = Request {
            profile: self.profile.clone(),
            reviewed: self.reviewed.clone(),
        };
        let attestation = resign(api, id, &request).await?;
        context.printer.answer(&attestation, |page| {
            describe(page, &attestation);
            page.brief(&attestation.id);
        })?;
        remark(context, &attestation);
        Ok(exit_of([&attestation], self.accept_recorded))
    }
}

async fn resign(api: &Api, id: &str, request: &Request) -> Result<Attestation, CliError> {
    api.post(&Route::to(&["attestations", id, "resign"]), request)
        .await
}
