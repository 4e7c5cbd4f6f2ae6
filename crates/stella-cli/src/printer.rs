//! All output goes through here: answers to standard output as a table, JSON
//! or YAML; everything else to standard error.

pub mod page;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

pub use page::{Page, Paint};

use crate::error::CliError;
use crate::exit::Exit;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone)]
pub struct Printer {
    pub format: Format,
    pub quiet: bool,
    pub verbose: bool,
    /// Answers for programs go here instead, to be told with others.
    pub kept: Option<Arc<Mutex<Value>>>,
    colour: bool,
    colour_on_stderr: bool,
}

impl Printer {
    pub fn new(format: Format, quiet: bool, verbose: bool, no_color: bool) -> Self {
        // https://no-color.org: set and not empty.
        let wanted = !no_color && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let capable = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            format,
            quiet,
            verbose,
            kept: None,
            colour: wanted && capable && io::stdout().is_terminal(),
            colour_on_stderr: wanted && capable && io::stderr().is_terminal(),
        }
    }

    /// The answer to the command: `value` for programs, `page` for people.
    pub fn answer<T: Serialize>(&self, value: &T, page: impl FnOnce(&mut Page)) -> Result<(), CliError> {
        if let Some(kept) = &self.kept {
            let value = serde_json::to_value(value)
                .map_err(|e| CliError::failed("cli.output", format!("the answer cannot be written: {e}")))?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = value;
            return Ok(());
        }
        let text = match self.format {
            Format::Table => {
                let mut text = Page::default();
                page(&mut text);
                text.render(self.colour, self.quiet)
            }
            Format::Json => json(value)?,
            Format::Yaml => serde_saphyr::to_string(value)
                .map_err(|e| CliError::failed("cli.output", format!("the answer cannot be written: {e}")))?,
        };
        self.raw(text.as_bytes())
    }

    /// Exactly these bytes.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // Whoever read has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|e| CliError::failed("cli.output", format!("standard output: {e}"))),
        }
    }

    /// For people, beside the answer.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            let mut page = Page::default();
            page.line(text);
            self.to_stderr(&page);
        }
    }

    /// Only asked for with `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Said even when quiet.
    pub fn warn(&self, text: &str) {
        let mut page = Page::default();
        let label = page.paint(Paint::Yellow, "⚠️ Warning:");
        page.line(format!("{label} {text}"));
        self.to_stderr(&page);
    }

    /// A page of its own on standard error, such as a blast radius.
    pub fn aside(&self, fill: impl FnOnce(&mut Page)) {
        let mut page = Page::default();
        fill(&mut page);
        self.to_stderr(&page);
    }

    /// The message to standard error; with `-o json` or `-o yaml` the problem
    /// to standard output as well, so that a program need read only that.
    pub fn error(&self, error: &CliError) -> Exit {
        let mut page = Page::default();
        let label = page.paint(Paint::Red, "error:");
        page.line(error.to_string().replacen("error:", &label, 1));
        self.to_stderr(&page);
        if self.format != Format::Table {
            // Standard output may be what failed; the exit code says it all.
            let _ = self.answer(&error.to_problem(), |_| {});
        }
        error.exit
    }

    fn to_stderr(&self, page: &Page) {
        let text = page.render(self.colour_on_stderr, false);
        // There is nowhere left to complain.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, CliError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| CliError::failed("cli.output", format!("the answer cannot be written: {e}")))
}
