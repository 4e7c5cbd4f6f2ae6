//! `keys ...`.

mod activate;
mod check_validity;
mod generate;
mod impact;
mod import;
mod list;
mod retire;
mod revoke;
mod rotation_warnings;
mod show;
mod verify;

use stella_core::api::keys::{Key, KeyChange};

pub(crate) use revoke::Why;

use crate::context::Context;
use crate::printer::Page;

super::verbs! {
    /// Make a key in its profile's store
    Generate(generate::Generate),
    /// List keys
    List(list::List),
    /// Show one key
    Show(show::Show),
    /// Make a key the one its profile signs with
    Activate(activate::Activate),
    /// End signing with a key; what it signed stays valid
    Retire(retire::Retire),
    /// Revoke a key in every anchor and end signing with it
    Revoke(revoke::Revoke),
    /// Check that a key can be used
    Verify(verify::Verify),
    /// Whether a key was valid at a moment, anchor by anchor
    CheckValidity(check_validity::CheckValidity),
    /// Keys that are due for rotation
    RotationWarnings(rotation_warnings::RotationWarnings),
    /// What the end of a key changed
    Impact(impact::Impact),
    /// Bring in a key made elsewhere
    Import(import::Import),
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

/// What a change of a key's state did.
fn describe_change(context: &Context, page: &mut Page, change: &KeyChange) {
    page.line(format!("{} is {}", change.id, change.status));
    page.maybe("before it", change.outgoing.as_ref());
    if !change.lacking_anchors.is_empty() {
        page.field("not yet in", change.lacking_anchors.join(", "));
        for anchor in &change.lacking_anchors {
            page.line(format!(
                "  next: {} anchor add-key --anchor-id {anchor} --key-id {}",
                context.program, change.id
            ));
        }
    }
    page.brief(&change.id);
}

pub(crate) fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
