//! `attest ...`.

mod create;
mod import;
mod integrity_check;
mod list;
mod logs;
mod many;
mod reload;
mod resign;
mod retry;
mod show;
mod status;
mod test_sign;
mod wait;
mod withdraw;

pub(super) use logs::describe_all as describe_logs;

use stella_core::api::attestations::{Attestation, SubjectInput};

use crate::api::{Api, Route};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::{Page, Paint};

super::verbs! {
    Create(create::Create),
    Import(import::Import),
    Show(show::Show),
    List(list::List),
    Wait(wait::Wait),
    Status(status::Status),
    TestSign(test_sign::TestSign),
    IntegrityCheck(integrity_check::IntegrityCheck),
    Resign(resign::Resign),
    Withdraw(withdraw::Withdraw),
    Retry(retry::Retry),
    Reload(reload::Reload),
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
    page.field("type", &attestation.predicate_type);
    for subject in &attestation.subjects {
        page.field("subject", subject_text(subject));
    }
    page.maybe("profile", attestation.profile.as_ref());
    page.maybe("key", key_text(attestation));
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

/// A key that stood in is marked, with where it signed.
fn key_text(attestation: &Attestation) -> Option<String> {
    let key = attestation.key_id.as_ref()?;
    if !attestation.signed_by_standby {
        return Some(key.clone());
    }
    let place = attestation.signed_in.as_deref().unwrap_or("another store");
    Some(format!("{key} (standby, {place})"))
}

fn describe_all(page: &mut Page, attestations: &[Attestation]) {
    for (index, attestation) in attestations.iter().enumerate() {
        if index > 0 {
            page.line("");
        }
        describe(page, attestation);
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

/// Unsigned is safe, but not done; and what was set aside never will be.
fn exit_of<'a>(attestations: impl IntoIterator<Item = &'a Attestation>, accept_recorded: bool) -> Exit {
    let mut exit = Exit::Done;
    for attestation in attestations {
        match attestation.state.as_str() {
            "signed" => {}
            "failed" => return Exit::Failed,
            _ if accept_recorded => {}
            _ => exit = Exit::Recorded,
        }
    }
    exit
}

/// `last` is the last one by this identity.
async fn resolve(api: &Api, id: &str) -> Result<String, CliError> {
    if id != "last" {
        return Ok(id.to_owned());
    }
    let last: Attestation = api.get(&Route::to(&["attestations", "last"])).await?;
    Ok(last.id)
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
