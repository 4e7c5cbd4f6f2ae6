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
}

impl Set {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "config", &self.key]);
        let request = SetConfig { value: self.value };
        let entry: ConfigEntry = context.api().await?.put(&route, &request).await?;
        for warning in &entry.warnings {
            context.printer.warn(warning);
        }
        context.printer.answer(&entry, |page| {
            page.line(format!("{} = {}  ({})", entry.key, entry.value, entry.origin));
            page.brief(&entry.value);
        })?;
        Ok(Exit::Done)
    }
}
