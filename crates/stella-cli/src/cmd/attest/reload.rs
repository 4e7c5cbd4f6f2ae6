//! `attest reload`.

use clap::Args;
use serde_json::{Value, json};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::replicas::PerHost;

/// Read runtime settings and signing keys again
#[derive(Args)]
pub struct Reload {
    #[command(flatten)]
    host: PerHost,
}

impl Reload {
    pub async fn run(self, context: &Context) -> Outcome {
        let answer: Value = context
            .api()
            .await?
            .post(&Route::to(&["reload"]), &json!({}))
            .await?;
        context.printer.answer(&answer, |page| {
            page.line("runtime settings and signing keys were read again");
            for warning in answer["warnings"].as_array().into_iter().flatten() {
                page.line(format!("  {}", warning.as_str().unwrap_or_default()));
            }
        })?;
        Ok(Exit::Done)
    }
}
