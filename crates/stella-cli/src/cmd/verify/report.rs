//! A verdict for people: the whole trace, the same on success and on failure.

use serde::Serialize;
use serde_json::Value;
use stella_core::api::verify::{TraceCheck, VerdictPart, VerdictReport};

use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::{Page, Paint};

pub(super) fn answer(context: &Context, report: &VerdictReport) -> Outcome {
    answer_with(context, report, report)
}

/// The same, where programs are told more than the report.
pub(super) fn answer_with(context: &Context, value: &impl Serialize, report: &VerdictReport) -> Outcome {
    context.printer.answer(value, |page| {
        describe(page, report, context.global.verbose > 0);
        page.brief(&report.verdict);
    })?;
    Ok(Exit::of_verdict(&report.verdict, &report.code))
}

fn describe(page: &mut Page, report: &VerdictReport, verbose: bool) {
    let kind = report.predicate_type.as_deref().unwrap_or_default();
    headline(page, "", &report.verdict, &report.subject, kind, &report.code);
    checks(page, 2, &report.trace);
    for part in &report.parts {
        // One that says word for word what the report says is said once.
        if part.trace != report.trace {
            describe_part(page, part, verbose);
        }
    }
    if report.verdict == "PASS" && !report.artifact_bound && report.attestation_id.is_none() {
        page.line("  – artifact    not compared: none was given");
    }
    if let Some(next) = &report.next {
        page.line(format!("  next: {next}"));
    }
}

fn describe_part(page: &mut Page, part: &VerdictPart, verbose: bool) {
    let subject = match &part.attestation_id {
        Some(id) => format!("{id}  {}", part.subject),
        None => part.subject.clone(),
    };
    let code = if part.counts {
        part.code.clone()
    } else {
        format!("{}  (does not decide)", part.code)
    };
    headline(page, "  ", &part.verdict, &subject, &part.predicate_type, &code);
    // What does not decide is told in full to whoever asks for it.
    if part.counts || verbose {
        checks(page, 4, &part.trace);
    }
}

fn headline(page: &mut Page, indent: &str, verdict: &str, subject: &str, kind: &str, code: &str) {
    let paint = match verdict {
        "PASS" => Paint::Green,
        "FAIL" => Paint::Red,
        _ => Paint::Yellow,
    };
    let verdict = page.paint(paint, verdict);
    let text: Vec<&str> = [subject, kind, code]
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect();
    page.line(format!("{indent}{verdict}  {}", text.join("  ")));
}

fn checks(page: &mut Page, indent: usize, trace: &[TraceCheck]) {
    let width = trace.iter().map(|c| c.name.len()).max().unwrap_or(0).max(11);
    for check in trace {
        let (symbol, paint) = match check.status.as_str() {
            "pass" => ("✓", Paint::Green),
            "warn" => ("!", Paint::Yellow),
            "fail" => ("✗", Paint::Red),
            "skip" => ("–", Paint::Dim),
            _ => ("?", Paint::Yellow),
        };
        let symbol = page.paint(paint, symbol);
        let code = match &check.code {
            Some(code) if check.status != "pass" => format!("  [{code}]"),
            _ => String::new(),
        };
        page.line(format!(
            "{:indent$}{symbol} {:<width$} {}{code}",
            "", check.name, check.detail
        ));
        let children: Vec<TraceCheck> = check.children.iter().filter_map(child).collect();
        checks(page, indent + 2, &children);
    }
}

fn child(value: &Value) -> Option<TraceCheck> {
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_verdict_shows_every_check_and_the_mending_command() {
        let report: VerdictReport = serde_json::from_value(json!({
            "verdict": "FAIL", "code": "key.revoked", "subject": "pkg:npm/left-pad@1.3.0",
            "predicateType": "evidence.stella/v1", "attestationId": "0192f3a0",
            "artifactBound": false, "now": "2025-03-04T09:12:44Z",
            "trace": [
                {"name": "envelope", "status": "pass", "detail": "1 signature over 1,284 bytes",
                 "children": [{"name": "payload", "status": "warn", "detail": "large"}]},
                {"name": "key", "status": "fail", "code": "key.revoked", "detail": "revoked in this anchor"},
                {"name": "time", "status": "unknown", "detail": "not proven"},
                {"name": "witness", "status": "skip", "detail": "not required by this anchor"}
            ],
            "next": "stella attest show 0192f3a0 --details"
        }))
        .expect("a report");
        let mut page = Page::default();
        describe(&mut page, &report, false);
        assert_eq!(
            page.render(false, false),
            "FAIL  pkg:npm/left-pad@1.3.0  evidence.stella/v1  key.revoked\n\
             \x20 ✓ envelope    1 signature over 1,284 bytes\n\
             \x20   ! payload     large\n\
             \x20 ✗ key         revoked in this anchor  [key.revoked]\n\
             \x20 ? time        not proven\n\
             \x20 – witness     not required by this anchor\n\
             \x20 next: stella attest show 0192f3a0 --details\n"
        );
    }
}
