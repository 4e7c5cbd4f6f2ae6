//! Many verdicts: a line for each, a summary at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use stella_core::api::verify::{TraceCheck, VerdictReport};

use crate::bulk::{self, Results};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Format;

/// Where the single verdicts go.
#[derive(Args, Clone)]
#[command(next_help_heading = "Many verdicts")]
pub(super) struct Into {
    /// Write a line of JSON for each verdict to this new file; without it,
    /// -o json writes them to standard output
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Go on with the file of results that an interrupted run left
    #[arg(long, requires = "results")]
    resume: bool,
}

/// What the verdict is about, and where the next one is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// Of the file of bundles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation_id: Option<String>,
}

/// A line of the results.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(flatten)]
    place: &'a Place,
    verdict: &'a str,
    code: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    now: &'a str,
    /// Of what did not pass.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    trace: &'a [TraceCheck],
}

/// What is read back of it.
#[derive(Deserialize)]
struct Earlier {
    #[serde(flatten)]
    place: Place,
    verdict: String,
    code: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    pub judged: u64,
    pub pass: u64,
    pub fail: u64,
    pub indeterminate: u64,
    /// Of all, by reason.
    pub codes: BTreeMap<String, u64>,
    #[serde(skip)]
    exits: BTreeMap<u8, Exit>,
}

impl Tally {
    fn count(&mut self, verdict: &str, code: &str) {
        self.judged += 1;
        match verdict {
            "PASS" => self.pass += 1,
            "FAIL" => self.fail += 1,
            _ => self.indeterminate += 1,
        }
        match self.codes.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.codes.insert(code.to_owned(), 1)),
        }
        let exit = Exit::of_verdict(verdict, code);
        self.exits.insert(exit.code(), exit);
    }

    fn add(&mut self, other: Self) {
        self.judged += other.judged;
        self.pass += other.pass;
        self.fail += other.fail;
        self.indeterminate += other.indeterminate;
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.exits.extend(other.exits);
    }

    /// Of several verdicts the first of these. Nothing judged is no PASS.
    fn exit(&self) -> Exit {
        if self.judged == 0 {
            return Exit::NoAttestation;
        }
        const ORDER: [Exit; 4] = [
            Exit::VerificationFailed,
            Exit::NoAnchor,
            Exit::Indeterminate,
            Exit::NoAttestation,
        ];
        let worst = ORDER.into_iter().find(|e| self.exits.contains_key(&e.code()));
        worst.unwrap_or(Exit::Done)
    }

    pub fn text(&self) -> String {
        format!(
            "{} judged: {} PASS, {} FAIL, {} INDETERMINATE",
            self.judged, self.pass, self.fail, self.indeterminate
        )
    }
}

/// How a verdict is written.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As JSON, whatever it is.
    Json,
    /// For people, unless it passes.
    Text,
    Nothing,
}

/// Some verdicts, written and counted: what the work on one block comes to.
#[derive(Default)]
pub(super) struct Written {
    pub bytes: Vec<u8>,
    tally: Tally,
}

impl Written {
    pub fn add(&mut self, form: Form, place: &Place, report: &VerdictReport) -> Result<(), CliError> {
        self.tally.count(&report.verdict, &report.code);
        match form {
            Form::Nothing => {}
            Form::Json => {
                let passed = report.verdict == "PASS";
                let row = Row {
                    place,
                    verdict: &report.verdict,
                    code: &report.code,
                    subject: &report.subject,
                    predicate_type: report.predicate_type.as_deref(),
                    anchor_id: report.anchor_id.as_deref(),
                    next: report.next.as_deref(),
                    now: &report.now,
                    trace: if passed { &[] } else { &report.trace },
                };
                self.bytes.extend(bulk::json(&row)?);
                self.bytes.push(b'\n');
            }
            Form::Text if report.verdict == "PASS" => {}
            Form::Text => self.bytes.extend(text(place, report).into_bytes()),
        }
        Ok(())
    }
}

fn text(place: &Place, report: &VerdictReport) -> String {
    let mut line = String::new();
    if let Some(number) = place.line {
        // Writing to a String does not fail.
        let _ = write!(line, "line {number}: ");
    }
    let _ = write!(line, "{}", report.verdict);
    let known = [
        place.attestation_id.as_deref(),
        Some(report.subject.as_str()).filter(|s| !s.is_empty()),
        report.predicate_type.as_deref(),
        Some(report.code.as_str()),
    ];
    for part in known.into_iter().flatten() {
        let _ = write!(line, "  {part}");
    }
    if let Some(next) = &report.next {
        let _ = write!(line, "\n  next: {next}");
    }
    line.push('\n');
    line
}

/// Takes what was written, in order.
pub(super) struct Sink<'a> {
    context: &'a Context,
    results: Option<Results>,
    tally: Tally,
    /// Where the results that were there before end.
    pub resumed: Option<Place>,
}

impl<'a> Sink<'a> {
    /// `what`: the command whose results these are.
    pub fn open(context: &'a Context, into: &Into, what: &str) -> Result<Self, CliError> {
        let mut tally = Tally::default();
        let mut resumed = None;
        let results = match &into.results {
            None => None,
            Some(path) if into.resume => {
                let (results, _) = Results::resume(path, what, |row: Earlier| {
                    tally.count(&row.verdict, &row.code);
                    resumed = Some(row.place);
                })?;
                Some(results)
            }
            Some(path) => Some(Results::begin(path, &bulk::begun(context, what)?)?),
        };
        if into.resume {
            context
                .printer
                .note(&format!("going on after {} that were judged", tally.judged));
        }
        Ok(Self {
            context,
            results,
            tally,
            resumed,
        })
    }

    pub fn form(&self) -> Form {
        match (&self.results, self.context.printer.format) {
            (Some(_), _) | (None, Format::Json) => Form::Json,
            (None, Format::Table) if !self.context.global.quiet => Form::Text,
            (None, Format::Table | Format::Yaml) => Form::Nothing,
        }
    }

    pub fn take(&mut self, written: Written) -> Result<(), CliError> {
        match &mut self.results {
            Some(results) => {
                results.write(&written.bytes)?;
                results.flush()?;
            }
            None => self.context.printer.raw(&written.bytes)?,
        }
        self.tally.add(written.tally);
        Ok(())
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The summary; as JSON on one line, which ends a stream of lines.
    pub fn finish(self) -> Outcome {
        if let Some(mut results) = self.results {
            results.keep()?;
        }
        let tally = &self.tally;
        if matches!(self.context.printer.format, Format::Json) {
            let mut line = bulk::json(&BTreeMap::from([("summary", tally)]))?;
            line.push(b'\n');
            self.context.printer.raw(&line)?;
        } else {
            self.context
                .printer
                .answer(&BTreeMap::from([("summary", tally)]), |page| {
                    page.line(tally.text());
                    for (code, count) in tally.codes.iter().filter(|(code, _)| *code != "ok") {
                        page.line(format!("  {count} {code}"));
                    }
                    page.brief(tally.text());
                })?;
        }
        Ok(tally.exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_verdicts_the_gravest_decides() {
        let exit = |verdicts: &[(&str, &str)]| {
            let mut tally = Tally::default();
            for (verdict, code) in verdicts {
                tally.count(verdict, code);
            }
            tally.exit()
        };
        let (pass, none) = (("PASS", "ok"), ("INDETERMINATE", "attestation.none"));
        let (unclear, no_anchor) = (
            ("INDETERMINATE", "time.not-proven"),
            ("INDETERMINATE", "anchor.none"),
        );
        let fail = ("FAIL", "key.revoked");
        assert_eq!(exit(&[]), Exit::NoAttestation, "an empty file opens no gate");
        assert_eq!(exit(&[pass, pass]), Exit::Done);
        assert_eq!(exit(&[pass, none]), Exit::NoAttestation);
        assert_eq!(exit(&[none, unclear, pass]), Exit::Indeterminate);
        assert_eq!(exit(&[unclear, no_anchor, none]), Exit::NoAnchor);
        assert_eq!(exit(&[no_anchor, fail, unclear]), Exit::VerificationFailed);
    }
}
