//! `attest test-sign`.

use clap::Args;
use stella_core::api::attestations::{TestSign as Request, TestSigned};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Paint;

/// Sign a nonce, to see that signing works
#[derive(Args)]
pub struct TestSign {
    /// Default: the profile `default`
    #[arg(long)]
    profile: Option<String>,
    /// Default: the profile's active key
    #[arg(long, alias = "key", value_name = "KEY_ID")]
    key_id: Option<String>,
}

impl TestSign {
    pub async fn run(self, context: &Context) -> Outcome {
        let request = Request {
            profile: self.profile,
            key_id: self.key_id,
        };
        let route = Route::to(&["attestations", "test-sign"]);
        let signed: TestSigned = context.api().await?.post(&route, &request).await?;
        context.printer.answer(&signed, |page| {
            let line = if signed.ok {
                page.paint(Paint::Green, "✓ signing works")
            } else {
                page.paint(Paint::Red, "✗ signing failed")
            };
            page.line(line);
            page.field("  key", &signed.key_id);
            page.field("  profile", &signed.profile);
            page.field("  algorithm", &signed.algorithm);
            page.field("  key store", &signed.store);
            page.field("  mechanism", &signed.mechanism);
            page.maybe("  slot", signed.slot.as_ref());
            page.field("  took", format!("{:.1} ms", signed.milliseconds));
        })?;
        Ok(if signed.ok { Exit::Done } else { Exit::Failed })
    }
}
