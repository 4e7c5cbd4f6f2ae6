//! `proof ...`: what is attested about one subject, under one signature.

mod create;
mod export;
mod list;
mod show;

use stella_core::api::proofs::Proof;

use super::attest::subject_text;
use crate::context::Context;
use crate::printer::{Page, Paint};

super::verbs! {
    /// List what is attested about a subject under one signature
    Create(create::Create),
    /// Show what a proof is made of, and whether it passes
    Show(show::Show),
    /// List proofs, newest first
    List(list::List),
    /// Write a proof bundle as it is: its SHA-256 is its address
    Export(export::Export),
}

fn describe(page: &mut Page, proof: &Proof) {
    let state = match proof.state.as_str() {
        "signed" => page.paint(Paint::Green, "signed"),
        other => page.paint(Paint::Yellow, other),
    };
    let waiting = "- (comes with the spine's signature)";
    page.field("id", proof.id.as_deref().unwrap_or(waiting));
    page.field("state", state);
    page.field("subject", subject_text(&proof.subject));
    page.field("root", format!("sha256:{}", proof.merkle_root));
    page.field("spine", part(&proof.spine.attestations, &proof.spine.key_ids, ""));
    for (n, member) in proof.members.iter().enumerate() {
        page.field(
            &format!("member {}", n + 1),
            part(&member.attestations, &member.key_ids, &member.predicate_type),
        );
    }
    page.field("created", format!("{} by {}", proof.created_at, proof.created_by));
    if let Some(would) = &proof.would_verify {
        let anchor = would.anchor_id.as_deref().unwrap_or("no anchor");
        page.field(
            "would verify",
            format!("{} ({}, {anchor})", would.verdict, would.code),
        );
    }
    if let Some(id) = &proof.id {
        page.brief(id);
    }
}

fn part(attestations: &[String], keys: &[String], kind: &str) -> String {
    let text = format!("{}  {}  {kind}", attestations.join(","), keys.join(","));
    text.trim_end().to_owned()
}

/// What the person should hear beside the answer.
fn remark(context: &Context, proof: &Proof) {
    for over in &proof.passed_over {
        context.printer.note(&format!(
            "passed over: {} ({}): {}",
            over.attestation_id, over.predicate_type, over.code
        ));
    }
    for warning in &proof.warnings {
        context.printer.warn(warning);
    }
    if let Some(next) = &proof.next {
        context.printer.note(&format!("  next: {next}"));
    }
}
