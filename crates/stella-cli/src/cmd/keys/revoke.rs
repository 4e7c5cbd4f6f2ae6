//! `keys revoke`: in every anchor, with the end of signing.

use clap::Args;
use stella_core::api::keys::RevokeKey;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::args::{reason, time::Moment};
use crate::cmd::anchor::revoke_key;
use crate::context::{Context, Outcome};

/// Revoke a key in every anchor and end signing with it
#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    key: KeyArg,
    #[command(flatten)]
    why: Why,
}

/// What is said about every revocation.
#[derive(Args)]
pub struct Why {
    /// From the fixed list; words go into --note
    #[arg(long, value_parser = reason())]
    reason: String,
    /// From when on; RFC 3339, a date or NOW (the default)
    #[arg(long, value_name = "TIME")]
    effective_at: Option<Moment>,
    /// Since when somebody else may have signed (only with --reason compromise)
    #[arg(long, value_name = "TIME")]
    compromised_since: Option<Moment>,
    /// Why, in your words
    #[arg(long)]
    note: Option<String>,
    /// Only show what it would touch
    #[arg(long)]
    pub dry_run: bool,
}

impl Revoke {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "keys", self.key.id(), "revoke"]);
        revoke_key::revoke(context, &route, self.why.into_request()).await
    }
}

impl Why {
    pub fn into_request(self) -> RevokeKey {
        RevokeKey {
            reason: self.reason,
            effective_at: self.effective_at.map(String::from),
            compromised_since: self.compromised_since.map(String::from),
            note: self.note,
            dry_run: self.dry_run,
        }
    }
}
