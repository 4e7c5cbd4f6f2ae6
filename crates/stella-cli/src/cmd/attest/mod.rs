//! `attest ...`.

mod create;
mod import;
mod integrity_check;
mod list;
mod logs;
mod reload;
mod resign;
mod retry;
mod show;
mod status;
mod test_sign;
mod wait;
mod withdraw;

use stella_core::api::attestations::{Attestation, SubjectInput};

use crate::api::{Api, Route};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::{Page, Paint};

super::verbs! {
    /// Have a statement about subjects signed
    Create(create::Create),
    /// Record somebody else's envelope or bundle
    Import(import::Import),
    /// Show one attestation
    Show(show::Show),
    /// List attestations, newest first
    List(list::List),
    /// Wait until attestations are signed
    Wait(wait::Wait),
    /// Which instance this is, and whether it can sign
    Status(status::Status),
    /// Sign a nonce, to see that signing works
    TestSign(test_sign::TestSign),
    /// Compare the stored bytes with every digest of them
    IntegrityCheck(integrity_check::IntegrityCheck),
    /// Sign the same statement with a current key
    Resign(resign::Resign),
    /// Take a statement back, for ever
    Withdraw(withdraw::Withdraw),
    /// Sign now what is recorded without a signature
    Retry(retry::Retry),
    /// Read the configuration again
    Reload(reload::Reload),
    /// The operations log
    Logs(logs::Logs),
    /// Settings
    #[command(subcommand)]
    Config(super::config::Verb),
}

fn describe(page: &mut Page, attestation: &Attestation) {
    let state = match attestation.state.as_str() {
        "signed" => page.paint(Paint::Green, "signed"),
        other => page.paint(Paint::Yellow, other),
    };
    page.field("id", &attestation.id);
    page.field("state", state);
    page.field("type", short(&attestation.predicate_type));
    for subject in &attestation.subjects {
        page.field("subject", subject_text(subject));
    }
    page.maybe("profile", attestation.profile.as_ref());
    page.maybe("key", attestation.key_id.as_ref());
    page.field(
        "algorithm",
        attestation.algorithm.as_deref().unwrap_or("- (not signed yet)"),
    );
    page.field("requested by", &attestation.requested_by);
    page.field("created", &attestation.created_at);
    page.maybe("signed", attestation.signed_at.as_ref());
    if attestation.imported {
        page.field("origin", "imported");
    }
    page.maybe("supersedes", attestation.supersedes.as_ref());
    page.maybe("superseded by", attestation.superseded_by.as_ref());
    if let Some(withdrawn) = &attestation.withdrawn {
        let note = withdrawn
            .note
            .as_deref()
            .map(|n| format!(": {n}"))
            .unwrap_or_default();
        page.field(
            "withdrawn",
            format!(
                "{} by {} ({}){note}",
                withdrawn.at, withdrawn.by, withdrawn.reason
            ),
        );
    }
    if attestation.state != "signed" {
        page.field("attempts", attestation.attempts);
        page.maybe("last error", attestation.last_error.as_ref());
        page.maybe("next attempt", attestation.next_attempt_at.as_ref());
    }
    if let Some(would) = &attestation.would_verify {
        let anchor = would.anchor_id.as_deref().unwrap_or("no anchor");
        page.field(
            "would verify",
            format!("{} ({}, {anchor})", would.verdict, would.code),
        );
    }
}

/// What the person should hear beside the answer.
fn remark(context: &Context, attestation: &Attestation) {
    for warning in &attestation.warnings {
        context.printer.warn(warning);
    }
    if let Some(next) = &attestation.next {
        context.printer.note(&format!("  next: {next}"));
    }
}

/// Unsigned is safe, but not done.
fn exit_of<'a>(attestations: impl IntoIterator<Item = &'a Attestation>, accept_recorded: bool) -> Exit {
    if accept_recorded || attestations.into_iter().all(|a| a.state == "signed") {
        Exit::Done
    } else {
        Exit::Recorded
    }
}

/// `last` is the last one by this identity.
async fn resolve(api: &Api, id: &str) -> Result<String, CliError> {
    if id != "last" {
        return Ok(id.to_owned());
    }
    let last: Attestation = api.get(&Route::to(&["attestations", "last"])).await?;
    Ok(last.id)
}

fn short(predicate_type: &str) -> String {
    predicate_type.to_owned()
}

pub(super) fn subject_text(subject: &SubjectInput) -> String {
    let digests: Vec<String> = subject
        .digest
        .iter()
        .map(|(algorithm, hex)| format!("{algorithm}:{hex}"))
        .collect();
    match &subject.name {
        Some(name) => format!("{name}@{}", digests.join(",")),
        None => digests.join(","),
    }
}
