//! `config unset`.

use clap::Args;
use stella_core::api::keys::ConfigEntry;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Undo what was set at run time
#[derive(Args)]
pub struct Unset {
    /// Such as rotation.overlap_days
    key: String,
    /// What was set for this profile alone (signing.mode)
    #[arg(long)]
    profile: Option<String>,
}

impl Unset {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "config", &self.key]).with("profile", self.profile);
        let entry: ConfigEntry = context.api().await?.delete(&route).await?;
        context.printer.answer(&entry, |page| {
            page.line(format!(
                "{} is back to {}  ({})",
                entry.key, entry.value, entry.origin
            ));
            page.brief(&entry.value);
        })?;
        Ok(Exit::Done)
    }
}
