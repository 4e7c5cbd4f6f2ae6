//! `crypto hsm logs`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use stella_core::api::audit::LogList;

use crate::api::Route;
use crate::args::period::Period;
use crate::cmd::attest::describe_logs;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// What happened to modules, and what failed because of them
#[derive(Args)]
pub struct Logs {
    /// This level and worse
    #[arg(long, value_parser = PossibleValuesParser::new(["error", "warn", "info"]))]
    level: Option<String>,
    /// Only the last 30m, 1h, 7d, ...
    #[arg(long, value_name = "PERIOD")]
    last: Option<Period>,
    /// How many lines, the newest
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

impl Logs {
    pub async fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let route = Route::to(&["crypto", "hsm", "logs"])
            .with("level", self.level)
            .with("since", self.last.map(|period| period.before(now)))
            .with("limit", self.limit);
        let list: LogList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| describe_logs(page, &list))?;
        Ok(Exit::Done)
    }
}
