//! `backup verify`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use stella_server::backup;
use stella_server::entropy::SystemEntropy;

use super::Source;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// See that a backup is whole, that its database holds together, and that its
/// keys can be opened; asks no instance
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    source: Source,
    /// Where the database is laid down for that while
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Outcome {
        let identities = self.source.identities()?;
        let from = self.source.open(context)?;
        let scratch = self.scratch.unwrap_or_else(std::env::temp_dir);
        let verified = backup::verify(from, &identities, &scratch, &SystemEntropy)
            .await
            .map_err(|e| super::error(&self.source.file, e))?;
        let ok = verified.findings.is_empty();
        let answer = json!({
            "ok": ok,
            "events": verified.events,
            "attestations": verified.attestations,
            "privateKeys": verified.keys,
            "findings": verified.findings,
            "manifest": verified.manifest,
        });
        context.printer.answer(&answer, |page| {
            page.line(format!(
                "{} {} {}",
                page.tick(ok),
                self.source.file.display(),
                if ok { "is whole" } else { "is not good" }
            ));
            super::describe(page, &verified);
            for finding in &verified.findings {
                page.field("finding", finding);
            }
            page.brief(if ok { "ok" } else { "not good" });
        })?;
        Ok(if ok { Exit::Done } else { Exit::Failed })
    }
}
