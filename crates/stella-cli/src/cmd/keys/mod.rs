//! `keys ...`.

mod activate;
mod add_store;
mod check_validity;
mod generate;
mod impact;
mod import;
mod list;
mod remove_store;
mod retire;
mod revoke;
mod rotation_warnings;
mod show;
mod verify;

use serde_json::json;
use stella_core::api::keys::{Key, KeyChange};

pub(crate) use revoke::Why;

use crate::api::Route;
use crate::args::ids::KeyArg;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;

super::verbs! {
    Generate(generate::Generate),
    List(list::List),
    Show(show::Show),
    Activate(activate::Activate),
    Retire(retire::Retire),
    Revoke(revoke::Revoke),
    Verify(verify::Verify),
    CheckValidity(check_validity::CheckValidity),
    RotationWarnings(rotation_warnings::RotationWarnings),
    Impact(impact::Impact),
    Import(import::Import),
    AddStore(add_store::AddStore),
    RemoveStore(remove_store::RemoveStore),
    /// Settings
    #[command(subcommand)]
    Config(super::config::Verb),
}

/// A key, field by field.
fn describe(page: &mut Page, key: &Key) {
    page.field("id", &key.id);
    page.field("status", &key.status);
    page.maybe("profile", key.profile.as_ref());
    page.field("type", &key.key_type);
    page.field("algorithm", &key.algorithm);
    page.maybe("key store", key.key_store.as_ref());
    for store in &key.further_stores {
        page.field("also in", store);
    }
    page.field("fingerprint", format!("sha256:{}", key.fingerprint));
    page.maybe("created", key.created_at.as_ref());
    page.maybe("not after", key.not_after.as_ref());
    page.maybe("revoked", key.revoked_at.as_ref());
    page.maybe("reason", key.revoke_reason.as_ref());
    page.maybe("compromised", key.compromised_since.as_ref());
    page.field("anchors", or_none(&key.anchors.join(", ")));
    for note in &key.notes {
        page.field("note", note);
    }
}

/// Moves a key to another state: `activate` or `retire`.
async fn change_state(context: &Context, key: &KeyArg, verb: &str) -> Outcome {
    let route = Route::to(&["signer", "keys", key.id(), verb]);
    let change: KeyChange = context.api().await?.post(&route, &json!({})).await?;
    context.printer.answer(&change, |page| {
        page.line(format!("{} is {}", change.id, change.status));
        page.maybe("before it", change.outgoing.as_ref());
        page.brief(&change.id);
    })?;
    // Each anchor that lacks the key is named here, with the command for it.
    for warning in &change.warnings {
        context.printer.warn(warning);
    }
    Ok(Exit::Done)
}

pub(crate) fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
