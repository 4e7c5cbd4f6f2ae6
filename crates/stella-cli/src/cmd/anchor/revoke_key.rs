//! `anchor revoke-key`.

use clap::Args;
use stella_core::api::keys::{Revocation, RevokeKey as Request};

use crate::api::Route;
use crate::args::ids::AnchorsArg;
use crate::cmd::keys::Why;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::Page;

/// Revoke a key in an anchor, or in ALL that hold it
///
/// A compromise is true of the key, not of an anchor: it reaches every anchor
/// that holds the key and ends its signing, whichever anchor is named.
#[derive(Args)]
pub struct RevokeKey {
    #[command(flatten)]
    anchors: AnchorsArg,
    /// The key
    #[arg(long, alias = "key", value_name = "KEY_ID")]
    key_id: String,
    #[command(flatten)]
    why: Why,
}

impl RevokeKey {
    pub async fn run(self, context: &Context) -> Outcome {
        let route = Route::to(&["anchors", self.anchors.id(), "keys", &self.key_id, "revoke"]);
        revoke(context, &route, self.why.into_request()).await
    }
}

/// Asks what it would touch, shows it, and does it.
pub async fn revoke(context: &Context, route: &Route, request: Request) -> Outcome {
    let api = context.api().await?;
    let rehearsal = Request {
        dry_run: true,
        ..request.clone()
    };
    let radius: Revocation = api.post(route, &rehearsal).await?;
    if request.dry_run {
        context.printer.answer(&radius, |page| {
            describe(page, &radius);
            nexts(page, &radius);
        })?;
        return Ok(Exit::Done);
    }
    context.confirm(|page| describe(page, &radius), "Revoke it?")?;
    let done: Revocation = api.post(route, &request).await?;
    context.printer.answer(&done, |page| {
        page.line(format!(
            "{} is revoked in {} as of {} ({})",
            done.key_id,
            anchors(done.anchors.len()),
            done.effective_at,
            done.reason
        ));
        nexts(page, &done);
        page.brief(&done.key_id);
    })?;
    Ok(Exit::Done)
}

fn describe(page: &mut Page, radius: &Revocation) {
    page.line(format!(
        "revoking {} ({}) as of {}",
        radius.key_id, radius.reason, radius.effective_at
    ));
    page.maybe("  since", radius.compromised_since.as_ref());
    page.field(
        "  anchors",
        format!("{}: {}", radius.anchors.len(), radius.anchors.join(", ")),
    );
    if !radius.emptied.is_empty() {
        page.field("  without a key", radius.emptied.join(", "));
    }
    page.field(
        "  signing",
        if radius.ends_signing {
            "ends: the key signs nothing more"
        } else {
            "not affected"
        },
    );
    page.field(
        "  attestations",
        format!(
            "{} signed by it, {} no longer pass",
            radius.attestations, radius.flipped
        ),
    );
}

fn nexts(page: &mut Page, revocation: &Revocation) {
    for next in &revocation.next {
        page.next(next);
    }
}

fn anchors(count: usize) -> String {
    match count {
        1 => "1 anchor".to_owned(),
        n => format!("{n} anchors"),
    }
}
