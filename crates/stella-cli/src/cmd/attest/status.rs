//! `attest status`.

use clap::Args;
use stella_core::api::status::Status as Answer;

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::{Page, Paint};

/// Which instance this is, and whether it can sign
#[derive(Args)]
pub struct Status {}

impl Status {
    pub async fn run(self, context: &Context) -> Outcome {
        let status: Answer = context.api().await?.get(&Route::to(&["status"])).await?;
        context.printer.answer(&status, |page| describe(page, &status))?;
        for warning in &status.warnings {
            context.printer.warn(warning);
        }
        Ok(Exit::Done)
    }
}

fn queue(status: &Answer) -> Option<String> {
    (status.recorded > 0).then(|| match status.drained_in_seconds {
        Some(seconds) => format!(
            "{} waiting, {} a minute signed, done in about {seconds} s",
            status.recorded, status.drained_per_minute
        ),
        None => format!("{} waiting, none signed of late", status.recorded),
    })
}

fn describe(page: &mut Page, status: &Answer) {
    page.field("target", format!("{} ({})", status.target, status.mode));
    page.field("version", &status.version);
    page.field("store", &status.store);
    page.field("signing mode", &status.signing_mode);
    page.field("anchors", status.anchors);
    page.field("events", status.event_head);
    page.field(
        "attestations",
        format!(
            "{} signed, {} recorded, {} failed, {} held",
            status.signed, status.recorded, status.failed, status.held
        ),
    );
    page.maybe(
        "oldest unsigned",
        status.oldest_unsigned_seconds.map(|s| format!("{s} s")),
    );
    page.maybe("queue", queue(status));
    page.line("");
    let rows = status.profiles.iter().map(|profile| {
        [
            profile.profile.clone(),
            profile.algorithm.clone(),
            profile.key_store.clone(),
            match (&profile.active_key, &profile.signs_with) {
                (Some(active), Some(standby)) => format!("{active} ({standby} signs)"),
                (Some(active), None) => active.clone(),
                (None, _) => "-".to_owned(),
            },
            if profile.can_sign { "yes" } else { "no" }.to_owned(),
            profile.detail.clone(),
        ]
    });
    let header = [
        "Profile",
        "Algorithm",
        "Key Store",
        "Active Key",
        "Signs",
        "Detail",
    ];
    page.table(header, rows, "no profiles");
    if !status.profiles.iter().any(|p| p.can_sign) {
        let line = page.paint(Paint::Yellow, "no profile can sign; statements are recorded");
        page.line(line);
    }
}
