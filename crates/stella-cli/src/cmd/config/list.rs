//! `config list`.

use clap::Args;
use stella_core::api::keys::ConfigList;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// All settings
#[derive(Args)]
pub struct List {
    /// Only what was set at run time
    #[arg(long)]
    overridden: bool,
}

impl List {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "config"]).with("overridden", self.overridden.then_some("true"));
        let list: ConfigList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| {
            let rows = list.entries.iter().map(|entry| {
                [
                    entry.key.clone(),
                    entry.value.clone(),
                    entry.origin.clone(),
                    if entry.runtime { "yes" } else { "no" }.to_owned(),
                ]
            });
            let empty = "nothing is set at run time";
            page.list(["Key", "Value", "Origin", "Settable"], rows, empty);
        })?;
        Ok(Exit::Done)
    }
}
