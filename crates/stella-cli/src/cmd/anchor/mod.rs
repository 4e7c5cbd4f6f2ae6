//! `anchor ...`, also as `trust-anchors ...`.

mod add_key;
mod create;
mod disable;
mod enable;
mod explain;
mod list;
pub(crate) mod revoke_key;
mod show;
mod status;
mod update;

use stella_core::api::anchors::Anchor;

use super::later::Later;
use crate::printer::Page;

super::verbs! {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Status(status::Status),
    Explain(explain::Explain),
    Update(update::Update),
    Disable(disable::Disable),
    Enable(enable::Enable),
    AddKey(add_key::AddKey),
    RevokeKey(revoke_key::RevokeKey),
    #[command(hide = true)]
    Add(Later),
    #[command(hide = true)]
    AddIntermediate(Later),
}

fn describe(page: &mut Page, anchor: &Anchor) {
    page.field("id", &anchor.trust_anchor_id);
    page.field("pattern", &anchor.purl_pattern);
    page.field("status", &anchor.status);
    page.field("policy", &anchor.policy_version);
    page.field("keys", super::keys::or_none(&anchor.allowed_keyids.join(", ")));
    match anchor.allowed_predicate_types.as_deref() {
        None => page.field("types", "all"),
        Some([]) => page.field("types", "none"),
        Some(types) => page.field("types", types.join(", ")),
    }
    if !anchor.required_predicate_types.is_empty() {
        page.field("required types", anchor.required_predicate_types.join(", "));
    }
    page.field("threshold", anchor.threshold);
    page.field("time evidence", format!("{} or better", anchor.min_time_evidence));
    page.maybe("evidence", anchor.require_evidence.as_ref());
    if anchor.require_ledger {
        page.field("ledger", "required");
    }
    page.field("created", &anchor.created_at);
    page.line("");
    let rows = anchor.key_history.iter().map(|key| {
        [
            key.keyid.clone(),
            key.algorithm.clone(),
            key.added_at.clone(),
            key.expires_at.clone().unwrap_or_else(|| "-".into()),
            key.revoked_at.clone().unwrap_or_else(|| "-".into()),
            key.revoke_reason.clone().unwrap_or_else(|| "-".into()),
        ]
    });
    let header = ["Key ID", "Algorithm", "Added", "Expires", "Revoked", "Reason"];
    page.table(header, rows, "no key was ever in it");
}
