//! What came of the entries: a line for each, and the sum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_core::api::attestations::{Created, WouldVerify};
use stella_core::api::problem::Problem;

use super::source::Place;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Format;

/// A line of the results.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    #[serde(flatten)]
    place: &'a Place,
    /// One for each profile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<&'a str>,
    /// Of all of them, the one that is furthest from done.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    repeated: bool,
    /// The first that is no PASS, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_verify: Option<&'a WouldVerify>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    #[serde(skip)]
    exit: Exit,
}

/// What is read back of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    repeated: bool,
    #[serde(default)]
    would_verify: Option<WouldVerify>,
    #[serde(default)]
    error: Option<Problem>,
}

impl<'a> Row<'a> {
    pub fn of(place: &'a Place, answer: &'a Result<Created, CliError>) -> Self {
        let made = answer.as_ref().map(|created| created.attestations.as_slice());
        let made = made.unwrap_or_default();
        let state = ["failed", "held", "recorded", "signed"]
            .into_iter()
            .find(|state| made.iter().any(|a| a.state == *state));
        let judged = || made.iter().filter_map(|a| a.would_verify.as_ref());
        Self {
            place,
            ids: made.iter().map(|a| a.id.as_str()).collect(),
            state,
            repeated: !made.is_empty() && made.iter().all(|a| a.repeated),
            would_verify: judged()
                .find(|would| would.verdict != "PASS")
                .or_else(|| judged().next()),
            error: answer.as_ref().err().map(CliError::to_problem),
            exit: answer.as_ref().err().map_or(Exit::Done, |e| e.exit),
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    pub entries: u64,
    pub signed: u64,
    pub recorded: u64,
    /// Set aside: nobody signs them by itself.
    pub set_aside: u64,
    /// Of those above, answered from an earlier equal request.
    pub repeated: u64,
    pub failed: u64,
    /// Signed, but they would not verify; by reason.
    pub would_not_verify: BTreeMap<String, u64>,
    /// Of those that failed, by reason.
    pub errors: BTreeMap<String, u64>,
    #[serde(skip)]
    exits: Vec<Exit>,
}

impl Tally {
    pub fn count(&mut self, row: &Row<'_>) {
        let error = row.error.as_ref().map(|e| (e.code.as_str(), row.exit));
        self.add(row.state, row.repeated, row.would_verify, error);
    }

    /// Where it ended.
    pub fn earlier(&mut self, row: Earlier) -> Place {
        let error = row.error.as_ref();
        let error = error.map(|e| (e.code.as_str(), Exit::of_status(e.status)));
        self.add(
            row.state.as_deref(),
            row.repeated,
            row.would_verify.as_ref(),
            error,
        );
        row.place
    }

    fn add(
        &mut self,
        state: Option<&str>,
        repeated: bool,
        would: Option<&WouldVerify>,
        error: Option<(&str, Exit)>,
    ) {
        self.entries += 1;
        self.repeated += u64::from(repeated);
        match (error, state) {
            (Some((code, exit)), _) => {
                self.failed += 1;
                *self.errors.entry(code.to_owned()).or_default() += 1;
                if !self.exits.contains(&exit) {
                    self.exits.push(exit);
                }
            }
            (None, Some("signed")) => self.signed += 1,
            (None, Some("failed" | "held")) => self.set_aside += 1,
            (None, _) => self.recorded += 1,
        }
        if let Some(would) = would.filter(|would| would.verdict != "PASS") {
            *self.would_not_verify.entry(would.code.clone()).or_default() += 1;
        }
    }

    pub fn text(&self) -> String {
        let mut text = format!("{} entries: {} signed", self.entries, self.signed);
        let more = [
            (self.recorded, "recorded, not signed yet"),
            (self.set_aside, "set aside"),
            (self.failed, "failed"),
        ];
        for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        if self.repeated > 0 {
            text.push_str(&format!(" ({} were there already)", self.repeated));
        }
        text
    }

    /// As JSON on one line, which ends a stream of lines.
    pub fn show(&self, context: &Context) -> Result<(), CliError> {
        let printer = &context.printer;
        let summary = BTreeMap::from([("summary", self)]);
        match printer.format {
            Format::Json => {
                let mut line = crate::bulk::json(&summary)?;
                line.push(b'\n');
                printer.raw(&line)?;
            }
            Format::Table if context.global.quiet => {}
            Format::Table | Format::Yaml => printer.answer(&summary, |page| {
                page.line(self.text());
                for (code, count) in &self.errors {
                    page.line(format!("  {count} failed: {code}"));
                }
            })?,
        }
        let unsigned = [
            (self.recorded, "attest status"),
            (self.set_aside, "attest list --state failed"),
        ];
        for (_, command) in unsigned.iter().filter(|(count, _)| *count > 0) {
            printer.note(&format!("  next: {} {command}", context.program));
        }
        for (code, count) in &self.would_not_verify {
            printer.warn(&format!("{count} would not verify: {code}"));
        }
        Ok(())
    }

    /// What failed counts before what is not signed yet; failures of several
    /// kinds are one failure.
    pub fn exit(&self, accept_recorded: bool) -> Exit {
        match self.exits.as_slice() {
            [one] => *one,
            [] if self.set_aside > 0 => Exit::Failed,
            [] if self.recorded > 0 && !accept_recorded => Exit::Recorded,
            [] => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_counts_before_what_is_not_signed_yet() {
        let exit = |rows: &[(Option<&str>, Option<Exit>)]| {
            let mut tally = Tally::default();
            for (state, error) in rows {
                tally.add(*state, false, None, error.map(|exit| ("x", exit)));
            }
            (tally.exit(false), tally.exit(true))
        };
        let (signed, recorded) = ((Some("signed"), None), (Some("recorded"), None));
        let (denied, usage) = ((None, Some(Exit::Denied)), (None, Some(Exit::Usage)));
        assert_eq!(exit(&[]), (Exit::Done, Exit::Done));
        assert_eq!(exit(&[signed, signed]), (Exit::Done, Exit::Done));
        assert_eq!(exit(&[signed, recorded]), (Exit::Recorded, Exit::Done));
        assert_eq!(
            exit(&[recorded, (Some("held"), None)]),
            (Exit::Failed, Exit::Failed)
        );
        assert_eq!(exit(&[denied, recorded, denied]), (Exit::Denied, Exit::Denied));
        assert_eq!(exit(&[denied, usage]), (Exit::Failed, Exit::Failed));
    }
}
