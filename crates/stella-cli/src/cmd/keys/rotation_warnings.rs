//! `keys rotation-warnings`: the columns of the key-rotation runbook.

use clap::Args;
use stella_core::api::keys::{RotationWarning, RotationWarnings as Answer};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Keys that are due for rotation
#[derive(Args)]
pub struct RotationWarnings {}

impl RotationWarnings {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["signer", "rotation-warnings"]);
        let answer: Answer = context.api().await?.get(&route).await?;
        context.printer.answer(&answer, |page| {
            let rows = answer.keys.iter().map(|key| {
                [
                    key.key_id.clone(),
                    key.profile.clone(),
                    key.age.clone(),
                    key.max_age.clone(),
                    warning(key),
                ]
            });
            let header = ["Key ID", "Profile", "Age", "Max Age", "Warning"];
            page.list(header, rows, "no keys rotate");
        })?;
        Ok(Exit::Done)
    }
}

fn warning(key: &RotationWarning) -> String {
    match key.level.as_str() {
        "ok" => "✓ OK".to_owned(),
        "overdue" => format!("✗ {}", key.warning),
        _ => format!("⚠️ {}", key.warning),
    }
}
