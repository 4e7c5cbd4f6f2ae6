//! `init`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use stella_core::api::keys::Key;
use stella_server::instance::{InitOptions, Instance};

use super::db::StoreFlags;
use crate::context::{Context, Outcome};
use crate::exit::Exit;

/// Make a home: a store, a first key, and the anchor test:* for test statements
#[derive(Args)]
pub struct Init {
    /// Make no key yet: the profile's store is not ready
    #[arg(long)]
    no_key: bool,
    #[command(flatten)]
    store: StoreFlags,
    /// A copy of sealing.key from another home that uses the same PostgreSQL
    #[arg(long, value_name = "FILE")]
    sealing_key: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor_id: Option<String>,
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
            store: self.store.choice()?,
            sealing_key: self.sealing_key,
        };
        if let Some(choice) = &options.store {
            super::db::expect_no_password(choice)?;
        }
        let made = Instance::init(&home, &options).await?;
        let shared = made.shared;
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
            match &made.anchor_id {
                Some(anchor) => page.field("  anchor", format!("{anchor} (test:*, for type test)")),
                None => page.field(
                    "  store",
                    "joined: its keys and anchors are those of its other homes",
                ),
            }
            let next = match &made.key {
                _ if shared => "serve",
                Some(_) => "attest create --type test --subject test:verification",
                None => "keys generate",
            };
            page.next(format!("{} {next}", context.program));
            page.brief(&made.home);
        })?;
        Ok(Exit::Done)
    }
}
