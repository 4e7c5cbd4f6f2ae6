//! `backup restore`.

use clap::Args;
use serde_json::json;
use stella_server::backup;
use stella_server::entropy::SystemEntropy;

use super::Source;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a home of a backup: --home names one that is not there yet
#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    source: Source,
}

impl Restore {
    pub async fn run(self, context: &Context) -> Outcome {
        let home = context.home()?;
        let identities = self.source.identities()?;
        let from = self.source.open(context)?;
        let restored = backup::restore(from, &identities, &home, &SystemEntropy)
            .await
            .map_err(|e| super::error(&self.source.file, e))?;
        let verified = &restored.verified;
        let answer = json!({
            "home": restored.home,
            "events": verified.events,
            "attestations": verified.attestations,
            "privateKeys": verified.keys,
            "notes": restored.notes,
            "manifest": verified.manifest,
        });
        context.printer.answer(&answer, |page| {
            page.line(format!("restored {}", restored.home.display()));
            super::describe(page, verified);
            page.next(format!(
                "{} --home {} doctor",
                context.program,
                restored.home.display()
            ));
            page.brief(restored.home.display());
        })?;
        for note in &restored.notes {
            context.printer.warn(note);
        }
        context.printer.note(
            "what was signed after the backup is not in it: end the old instance before this one signs",
        );
        Ok(Exit::Done)
    }
}
