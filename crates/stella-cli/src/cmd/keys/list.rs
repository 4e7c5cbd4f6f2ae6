//! `keys list`.

use clap::Args;
use stella_core::api::keys::KeyList;

use crate::api::Route;
use crate::args::period::Period;
use crate::args::{key_status, key_type};
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// List keys
#[derive(Args)]
pub struct List {
    /// Only keys that sign this
    #[arg(long = "type", value_name = "TYPE", value_parser = key_type())]
    key_type: Option<String>,
    /// Only keys in this state
    #[arg(long, value_parser = key_status())]
    status: Option<String>,
    /// Only keys of this profile
    #[arg(long)]
    profile: Option<String>,
    /// Only keys whose life ends within this time, such as 7d
    #[arg(long, value_name = "PERIOD")]
    expiring_within: Option<Period>,
}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let within = self.expiring_within.map(|p| p.seconds_from(context.now()));
        let route = Route::to(&["signer", "keys"])
            .with("type", self.key_type.as_ref())
            .with("status", self.status.as_ref())
            .with("profile", self.profile.as_ref())
            .with("expiringWithinSeconds", within);
        let list: KeyList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            let rows = list.keys.iter().map(|key| {
                [
                    key.id.clone(),
                    key.profile.clone().unwrap_or_else(|| "-".into()),
                    key.key_type.clone(),
                    key.algorithm.clone(),
                    key.status.clone(),
                    key.not_after.clone().unwrap_or_else(|| "-".into()),
                ]
            });
            let header = ["Key ID", "Profile", "Type", "Algorithm", "Status", "Not After"];
            page.list(header, rows, "no keys match");
        })?;
        Ok(Exit::Done)
    }
}
