//! `config set`.

use clap::Args;
use stella_core::api::keys::{ConfigEntry, SetConfig};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Set at run time (audited; undone by unset)
#[derive(Args)]
pub struct Set {
    /// Such as rotation.overlap_days
    key: String,
    /// What it becomes
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// For this profile alone (signing.mode)
    #[arg(long)]
    profile: Option<String>,
    /// Ends by itself after so long, 24h at most (signing.mode)
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<String>,
}

impl Set {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "config", &self.key]);
        let request = SetConfig {
            value: self.value,
            profile: self.profile,
            lasts: self.lasts,
        };
        let entry: ConfigEntry = context.api().await?.put(&route, &request).await?;
        for warning in &entry.warnings {
            context.printer.warn(warning);
        }
        context.printer.answer(&entry, |page| {
            page.line(format!("{} = {}  ({})", entry.key, entry.value, entry.origin));
            page.maybe("ends by itself", entry.ends_at.as_ref());
            page.brief(&entry.value);
        })?;
        Ok(Exit::Done)
    }
}
