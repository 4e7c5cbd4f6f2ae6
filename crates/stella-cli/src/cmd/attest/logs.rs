//! `attest logs`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;
use stella_core::api::audit::{LogLine, LogList};

use crate::api::Route;
use crate::args::period::Period;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::{Page, Paint};

/// The operations log
#[derive(Args)]
pub struct Logs {
    /// This level and worse
    #[arg(long, value_parser = PossibleValuesParser::new(["error", "warn", "info"]))]
    level: Option<String>,
    /// Only the last 30m, 1h, 7d, ...
    #[arg(long, value_name = "PERIOD")]
    last: Option<Period>,
    /// Part of the component or the message
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How many lines, the newest
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

impl Logs {
    pub async fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let route = Route::to(&["logs"])
            .with("level", self.level)
            .with("since", self.last.map(|period| period.before(now)))
            .with("filter", self.filter)
            .with("limit", self.limit);
        let list: LogList = context.api().await?.get(&route).await?;
        context.printer.answer(&list, |page| describe_all(page, &list))?;
        Ok(Exit::Done)
    }
}

pub fn describe_all(page: &mut Page, list: &LogList) {
    if list.lines.is_empty() {
        page.line("no log lines match");
    }
    for line in &list.lines {
        describe(page, line);
    }
}

fn describe(page: &mut Page, line: &LogLine) {
    let level = format!("{:<5}", line.level.to_uppercase());
    let level = match line.level.as_str() {
        "error" => page.paint(Paint::Red, level),
        "warn" => page.paint(Paint::Yellow, level),
        _ => level,
    };
    let fields: String = match &line.fields {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| match value {
                Value::String(text) => format!(" {name}={text}"),
                other => format!(" {name}={other}"),
            })
            .collect(),
        _ => String::new(),
    };
    // One line of the log is one line here, whatever is in it.
    let text = format!("{} {}{fields}", line.component, line.message).replace(['\n', '\r'], " ");
    page.line(format!("{} {level} {text}", line.at));
}
