//! `config get`.

use clap::Args;
use stella_core::api::keys::ConfigEntry;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// A setting's value and where it comes from
#[derive(Args)]
pub struct Get {
    /// Such as rotation.overlap_days
    key: String,
}

impl Get {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "config", &self.key]);
        let entry: ConfigEntry = context.api().await?.get(&route).await?;
        context.printer.answer(&entry, |page| {
            page.line(format!("{} = {}  ({})", entry.key, entry.value, entry.origin));
            page.maybe("ends by itself", entry.ends_at.as_ref());
            page.brief(&entry.value);
        })?;
        Ok(Exit::Done)
    }
}
