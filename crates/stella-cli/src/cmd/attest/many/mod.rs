//! `attest create --from-dir`, `--from-ndjson`: many at once, in the order of
//! the input, none of them twice.

mod entry;
mod source;
mod tally;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use stella_core::api::attestations::Created;
use stella_core::digest::Sha256;
use stella_core::json::JsonLimits;

pub(super) use entry::Defaults;

use crate::api::{Api, Route};
use crate::bulk::{self, Bar, Results};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::exit::Exit;
use crate::printer::Format;
use source::{Entry, Place, Source};
use tally::{Earlier, Row, Tally};

/// Many attestations with one command.
#[derive(Args)]
#[command(next_help_heading = "Many at once")]
pub(super) struct Many {
    /// Every *.json in this folder and those below it (one entry each), and
    /// every *.ndjson and *.jsonl (one on each line)
    #[arg(long, value_name = "DIR", group = "many", conflicts_with_all = ONE)]
    from_dir: Option<PathBuf>,
    /// One entry on each line: an in-toto statement, or {"type", "subject",
    /// "predicate", "profile"}; - is standard input
    #[arg(long, value_name = "FILE", group = "many", conflicts_with_all = ONE)]
    from_ndjson: Option<PathBuf>,
    /// Requests at the same time
    #[arg(long, value_name = "N", default_value = "16", requires = "many")]
    parallel: NonZero<u16>,
    /// Write a line of JSON for each entry to this new file
    #[arg(long, value_name = "FILE", requires = "many")]
    results: Option<PathBuf>,
    /// Go on with the file of results that an interrupted run left
    #[arg(long, requires = "results")]
    resume: bool,
    /// Write the entries that failed to this file, to be given again with
    /// --from-ndjson
    #[arg(long, value_name = "FILE", requires = "many")]
    failed: Option<PathBuf>,
}

/// What says what one attestation is about.
const ONE: [&str; 5] = ["subjects", "predicate", "purl", "image", "bundle"];

/// How each is sent.
pub(super) struct How {
    pub defaults: Defaults,
    pub wait: String,
    pub accept_recorded: bool,
    pub patience: Option<Duration>,
}

/// An instance that cannot be reached, or is too busy, is asked again so many
/// times, after twice the pause each time.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(250);

impl Many {
    pub fn is_asked(&self) -> bool {
        self.from_dir.is_some() || self.from_ndjson.is_some()
    }

    pub async fn run(&self, how: How, context: &Context) -> Outcome {
        let api = match how.patience {
            Some(limit) => context.patient_api(limit).await?,
            None => context.api().await?,
        };
        let mut out = Out::open(self, context)?;
        let last = out.last.take();
        let (mut source, size) = match (&self.from_dir, &self.from_ndjson) {
            (Some(folder), _) => (Source::folder(folder, last.as_ref())?, None),
            (None, Some(file)) => Source::lines(file, last.as_ref())?,
            (None, None) => return Err(CliError::usage("nothing to sign was given")),
        };
        let begin = last.and_then(|place| place.next_offset).unwrap_or_default();
        let bar = match size {
            Some(_) => Bar::of_bytes(context, size, begin),
            None => Bar::of_entries(context, 0),
        };
        let sender = Arc::new(Sender {
            api,
            how,
            run: out.run.clone(),
        });
        let mut flying = VecDeque::new();
        let mut ended = false;
        let stopped = loop {
            while !ended && flying.len() < usize::from(self.parallel.get()) {
                match source.next()? {
                    None => ended = true,
                    Some(entry) => {
                        let sender = Arc::clone(&sender);
                        flying.push_back(tokio::spawn(async move {
                            let answer = sender.send(&entry).await;
                            (entry, answer)
                        }));
                    }
                }
            }
            let Some(first) = flying.pop_front() else {
                break None;
            };
            let (entry, answer) = first
                .await
                .map_err(|e| CliError::failed("cli.thread", format!("a request was cut off: {e}")))?;
            match answer {
                Err(error) if ends_all(&error) => break Some(error),
                answer => out.take(&entry, answer)?,
            }
            let done = entry.place.next_offset.unwrap_or_default();
            bar.at(done, || out.tally.text());
        };
        // Those under way have their keys: whoever goes on finds them done.
        drop(flying);
        drop(bar);
        if source.left_out > 0 {
            context.printer.note(&format!(
                "{} files were left out: they are no .json, .ndjson or .jsonl",
                source.left_out
            ));
        }
        let exit = out.finish(sender.how.accept_recorded)?;
        match stopped {
            None => Ok(exit),
            Some(error) => Err(self.how_to_go_on(error, context)),
        }
    }

    fn how_to_go_on(&self, error: CliError, context: &Context) -> CliError {
        let program = &context.program;
        match &self.results {
            Some(results) => error.because("what was answered is kept").next(format!(
                "once it is mended, the same command with --results {} --resume",
                results.display()
            )),
            None => error
                .because("what was answered is kept; equal attestations are not signed twice")
                .next(format!("{program} doctor, then the same command again")),
        }
    }
}

/// No entry after this one would do better.
fn ends_all(error: &CliError) -> bool {
    let unauthenticated = error.problem.as_ref().is_some_and(|p| p.status == 401);
    error.exit == Exit::Unavailable || unauthenticated
}

struct Sender {
    api: Api,
    how: How,
    run: String,
}

impl Sender {
    async fn send(&self, entry: &Entry) -> Result<Created, CliError> {
        let max = JsonLimits::default().max_bytes;
        if entry.bytes.len() > max {
            return Err(CliError::usage(format!("the entry has more than {max} bytes")));
        }
        let request = self.how.defaults.request(&entry.bytes)?;
        let route = Route::to(&["attestations"]).with("wait", Some(&self.how.wait));
        let key = self.key(entry);
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.api.post_once(&route, &request, &key).await {
                Err(e) if e.exit == Exit::Unavailable => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
        self.api.post_once(&route, &request, &key).await
    }

    /// The same entry of the same run has the same one.
    fn key(&self, entry: &Entry) -> String {
        let place = entry.place.to_string();
        let parts = [self.run.as_bytes(), b"\0", place.as_bytes(), b"\0", &entry.bytes];
        Sha256::of_parts(&parts).to_hex()
    }
}

/// Where the answers go.
struct Out<'a> {
    context: &'a Context,
    results: Option<Results>,
    failed: Option<Failed>,
    tally: Tally,
    run: String,
    last: Option<Place>,
}

impl<'a> Out<'a> {
    fn open(many: &Many, context: &'a Context) -> Result<Self, CliError> {
        const WHAT: &str = "attest create";
        let mut tally = Tally::default();
        let mut last = None;
        let failed = many.failed.as_deref().map(|path| Failed::at(path, many.resume));
        let failed = failed.transpose()?;
        let (results, begun) = match &many.results {
            Some(path) if many.resume => {
                let (results, begun) = Results::resume(path, WHAT, |row: Earlier| {
                    last = Some(tally.earlier(row));
                })?;
                let done = tally.entries;
                context
                    .printer
                    .note(&format!("going on after {done} that were answered"));
                (Some(results), begun)
            }
            Some(path) => {
                let begun = bulk::begun(context, WHAT)?;
                (Some(Results::begin(path, &begun)?), begun)
            }
            None => (None, bulk::begun(context, WHAT)?),
        };
        Ok(Self {
            context,
            results,
            failed,
            tally,
            run: begun.run,
            last,
        })
    }

    fn take(&mut self, entry: &Entry, answer: Result<Created, CliError>) -> Result<(), CliError> {
        let row = Row::of(&entry.place, &answer);
        self.tally.count(&row);
        let printer = &self.context.printer;
        if let Err(error) = &answer
            && let Some(failed) = &mut self.failed
        {
            failed.write(&entry::on_one_line(&entry.bytes))?;
            printer.detail(&format!("{}: {error}", entry.place));
        }
        if let Some(results) = &mut self.results {
            results.write(&line(&row)?)?;
            return results.flush();
        }
        match (printer.format, &answer) {
            (Format::Json, _) => printer.raw(&line(&row)?),
            (Format::Table, Err(error)) => {
                printer.aside(|page| page.line(format!("{}: {error}", entry.place)));
                Ok(())
            }
            (Format::Table, Ok(created)) if self.context.global.quiet => {
                printer.raw(format!("{}\n", created.id).as_bytes())
            }
            (Format::Table | Format::Yaml, _) => Ok(()),
        }
    }

    fn finish(mut self, accept_recorded: bool) -> Outcome {
        if let Some(results) = &mut self.results {
            results.keep()?;
        }
        if let Some(failed) = &mut self.failed {
            failed.keep()?;
        }
        self.tally.show(self.context)?;
        Ok(self.tally.exit(accept_recorded))
    }
}

fn line(row: &Row<'_>) -> Result<Vec<u8>, CliError> {
    let mut line = bulk::json(row)?;
    line.push(b'\n');
    Ok(line)
}

/// Made when the first one fails.
struct Failed {
    path: PathBuf,
    file: Option<File>,
}

impl Failed {
    fn at(path: &Path, goes_on: bool) -> Result<Self, CliError> {
        if !goes_on && path.exists() {
            return Err(CliError::usage(format!("{} is there already", path.display()))
                .next("name another file for the entries that fail"));
        }
        Ok(Self {
            path: path.to_owned(),
            file: None,
        })
    }

    fn write(&mut self, entry: &[u8]) -> Result<(), CliError> {
        let failed = |e| CliError::file(&self.path, &e);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let opened = OpenOptions::new().create(true).append(true).open(&self.path);
                self.file.insert(opened.map_err(failed)?)
            }
        };
        file.write_all(&[entry, b"\n"].concat()).map_err(failed)
    }

    fn keep(&mut self) -> Result<(), CliError> {
        match &mut self.file {
            Some(file) => file.sync_all().map_err(|e| CliError::file(&self.path, &e)),
            None => Ok(()),
        }
    }
}
