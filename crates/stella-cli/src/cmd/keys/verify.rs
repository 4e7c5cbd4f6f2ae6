//! `keys verify`: proves with a signature that a key can be used.

use clap::Args;
use clap::builder::PossibleValuesParser;
use stella_core::api::keys::{KeyList, KeyVerified, VerifyKey};

use crate::api::{Api, Route};
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Page;

/// Check by a signature that a key can be used, or every active signing key
#[derive(Args)]
#[command(mut_group("KeyArg", |group| group.required(false)))]
pub struct Verify {
    #[command(flatten)]
    key: Option<KeyArg>,
    /// What to try
    #[arg(long, default_value = "sign", value_parser = PossibleValuesParser::new(["sign"]))]
    operation: String,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Outcome {
        let api = context.api().await?;
        if let Some(key) = &self.key {
            let verified = check(&api, key.id(), &self.operation).await?;
            context
                .printer
                .answer(&verified, |page| describe(page, &verified))?;
            return Ok(outcome(verified.ok));
        }
        let active = Route::to(&["signer", "keys"])
            .with("type", Some("signing"))
            .with("status", Some("active"));
        let keys = api.get::<KeyList>(&active).await?.keys;
        if keys.is_empty() {
            return Err(
                CliError::failed("key.none-active", "there is no active signing key")
                    .next(format!("{} keys generate --type signing", context.program)),
            );
        }
        let mut verified = Vec::new();
        for key in keys {
            verified.push(check(&api, &key.id, &self.operation).await?);
        }
        context.printer.answer(&verified, |page| {
            verified.iter().for_each(|v| describe(page, v));
        })?;
        Ok(outcome(verified.iter().all(|v| v.ok)))
    }
}

async fn check(api: &Api, id: &str, operation: &str) -> Result<KeyVerified, CliError> {
    let request = VerifyKey {
        operation: Some(operation.to_owned()),
    };
    api.post(&Route::to(&["signer", "keys", id, "verify"]), &request)
        .await
}

fn describe(page: &mut Page, verified: &KeyVerified) {
    page.line(format!(
        "{} {} {} {}: {} in {} ({:.1} ms)",
        page.tick(verified.ok),
        verified.id,
        if verified.ok { "can" } else { "cannot" },
        verified.operation,
        verified.mechanism,
        verified.store,
        verified.milliseconds
    ));
    page.maybe("  slot", verified.slot.as_ref());
    for further in &verified.further {
        page.line(format!(
            "  {} as well in {}: {} ({:.1} ms)",
            page.tick(further.ok),
            further.store,
            further.mechanism,
            further.milliseconds
        ));
        page.maybe("  slot", further.slot.as_ref());
    }
}

fn outcome(ok: bool) -> Exit {
    if ok { Exit::Done } else { Exit::Failed }
}
