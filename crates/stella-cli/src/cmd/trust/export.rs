//! `trust export`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::trust::{ExportTrust, ExportedTrust};

use crate::api::Route;
use crate::args::period::Period;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Sign what is trusted now, for verifiers that cannot ask this instance
#[derive(Args)]
pub struct Export {
    /// Where the trust bundle goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long it is good for (14d); until then a revocation may be missing
    #[arg(long, value_name = "PERIOD")]
    expires: Option<Period>,
}

impl Export {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = ExportTrust {
            expires_in_seconds: self.expires.map(|e| e.seconds_from(context.now())),
        };
        let api = context.api().await?;
        let route = Route::to(&["trust", "bundle"]);
        let exported: ExportedTrust = match api.post(&route, &request).await {
            Err(error) if super::has_no_feed_key(&error) => {
                super::with_feed_key(context, &api).await?;
                api.post(&route, &request).await?
            }
            other => other?,
        };
        files::write_atomically(&self.out, exported.document.as_bytes())?;
        let file = self.out.display().to_string();
        let answer = serde_json::json!({
            "file": file,
            "instance": exported.instance,
            "number": exported.number,
            "issuedAt": exported.issued_at,
            "expiresAt": exported.expires_at,
            "signedBy": exported.signed_by,
        });
        context.printer.answer(&answer, |page| {
            page.line(format!("trust bundle {} in {file}", exported.number));
            page.field("  instance", &exported.instance);
            page.field("  issued", &exported.issued_at);
            page.field("  good until", &exported.expires_at);
            page.field("  signed by", exported.signed_by.join(", "));
            page.line(format!(
                "  next: {} verify --bundle FILE --offline --trust-bundle {file} --trust-root root.json",
                context.program
            ));
            page.brief(&file);
        })?;
        Ok(Exit::Done)
    }
}
