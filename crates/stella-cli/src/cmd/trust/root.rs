//! `trust root`.

use std::path::PathBuf;

use clap::Args;
use stella_core::api::trust::TrustRootDocument;

use crate::api::Route;
use crate::cmd::files;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// The root that offline verifiers pin: it names the keys that sign bundles
#[derive(Args)]
pub struct Root {
    /// Where the trust root goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Root {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        let route = Route::to(&["trust", "root"]);
        let root: TrustRootDocument = match api.get(&route).await {
            Err(error) if super::has_no_feed_key(&error) => {
                super::with_feed_key(context, &api).await?;
                api.get(&route).await?
            }
            other => other?,
        };
        files::write_atomically(&self.out, root.document.as_bytes())?;
        let file = self.out.display().to_string();
        let answer = serde_json::json!({
            "file": file,
            "instance": root.instance,
            "number": root.number,
            "feedKeys": root.feed_keys,
            "sha256": root.sha256,
        });
        context.printer.answer(&answer, |page| {
            page.line(format!("trust root {} in {file}", root.number));
            page.field("  instance", &root.instance);
            page.field("  feed keys", root.feed_keys.join(", "));
            page.field("  sha256", &root.sha256);
            page.line("  bring it to each verifier once, over a channel you trust, and compare the sha256");
            page.brief(&file);
        })?;
        Ok(Exit::Done)
    }
}
