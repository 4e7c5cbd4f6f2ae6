//! `init`.

use clap::Args;
use serde::Serialize;
use stella_core::api::keys::Key;
use stella_server::instance::{InitOptions, Instance};

use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a home: a store, a first key, and the anchor test:* for test statements
#[derive(Args)]
pub struct Init {
    /// Make no key yet: the profile's store is not ready
    #[arg(long)]
    no_key: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    anchor_id: String,
    /// What the person should know, such as why there is no key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Init {
    pub async fn run(self, context: &Context) -> Outcome {
        let home = context.home()?;
        let options = InitOptions {
            config: context.global.config.clone(),
            no_key: self.no_key,
        };
        let made = Instance::init(&home, &options).await?;
        let made = Made {
            home: made.home.display().to_string(),
            key: made.key,
            anchor_id: made.anchor_id,
            notes: made.notes,
        };
        context.printer.answer(&made, |page| {
            page.line(format!("made a home in {}", made.home));
            if let Some(key) = &made.key {
                let store = key.key_store.as_deref().unwrap_or("no store");
                page.field("  key", format!("{} ({}, {store})", key.id, key.algorithm));
                for note in &key.notes {
                    page.field("  note", note);
                }
            }
            for note in &made.notes {
                page.field("  note", note);
            }
            page.field("  anchor", format!("{} (test:*, for type test)", made.anchor_id));
            let next = match &made.key {
                Some(_) => "attest create --type test --subject test:verification",
                None => "keys generate",
            };
            page.next(format!("{} {next}", context.program));
            page.brief(&made.home);
        })?;
        Ok(Exit::Done)
    }
}
