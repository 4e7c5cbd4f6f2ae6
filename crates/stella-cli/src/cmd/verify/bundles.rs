//! `verify --bundles FILE`: a file of bundles of any length.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stella_core::api::verify::{Times, VerdictList, VerdictReport, VerifyBundles};
use stella_core::bundle::trust::{Refused, refusal};
use stella_core::json::{JsonError, JsonLimits};
use stella_core::verify::ask::Wanted;
use stella_core::verify::{Check, Code, report as core_report};

use super::many::{Form, Into, Place, Sink, Written};
use super::offline::OfflineArgs;
use super::report;
use crate::api::{Api, Route};
use crate::bulk::{self, Bar, Block, Line, Lines};
use crate::context::{Context, Outcome};
use crate::error::CliError;
use crate::offline;

const WHAT: &str = "verify --bundles";
/// Requests that a server is given at the same time.
const IN_FLIGHT: usize = 4;
/// Documents in one of them, at most.
const TOGETHER: usize = 100;

pub(super) struct Bundles {
    pub file: PathBuf,
    pub require_types: Vec<String>,
    pub times: Times,
    pub into: Into,
}

impl Bundles {
    /// On all cores; what is held does not grow with the file.
    pub fn run_offline(self, offline: OfflineArgs, context: &Context) -> Outcome {
        let trust = offline.into_trust(context)?;
        let wanted = Wanted::parse([].into(), None, &self.require_types)?;
        let refused =
            |refused: Refused| report::answer(context, &refusal(&refused, String::new(), context.now()));
        let opened = match offline::open(context, &trust, &self.times)? {
            Ok(opened) => opened,
            Err(why) => return refused(why),
        };
        let offline = match opened.offline() {
            Ok(offline) => offline,
            Err(why) => return refused(why),
        };
        let (lines, mut sink, bar) = self.begin(context)?;
        let form = sink.form();
        let judge = |block: &Block| -> Result<(Written, u64), CliError> {
            let mut written = Written::default();
            for line in block.lines() {
                written.add(form, &place(&line), &offline.one_of_many(line.bytes, &wanted))?;
            }
            Ok((written, block.end))
        };
        let failed = |e| CliError::file(&self.file, &e);
        bulk::in_order(lines, failed, judge, |made| {
            let (written, end) = made?;
            sink.take(written)?;
            bar.at(end, || sink.tally().text());
            Ok(())
        })?;
        drop(bar);
        sink.finish()
    }

    /// A few requests at a time, each with many documents.
    pub async fn run(self, context: &Context) -> Outcome {
        let api = Arc::new(context.api().await?);
        let (mut lines, mut sink, bar) = self.begin(context)?;
        let form = sink.form();
        let asked = Arc::new(Asked {
            api,
            require_types: self.require_types,
            times: self.times,
            form,
            now: context.now().to_string(),
        });
        let mut flying = VecDeque::new();
        loop {
            let block = lines
                .next_block(Vec::new())
                .map_err(|e| CliError::file(&self.file, &e))?;
            let ended = block.is_none();
            if let Some(block) = block {
                let asked = Arc::clone(&asked);
                flying.push_back(tokio::spawn(async move { asked.judge(&block).await }));
            }
            while flying.len() >= IN_FLIGHT || (ended && !flying.is_empty()) {
                let Some(first) = flying.pop_front() else { break };
                let (written, end) = first
                    .await
                    .map_err(|e| CliError::failed("cli.thread", format!("a request was cut off: {e}")))??;
                sink.take(written)?;
                bar.at(end, || sink.tally().text());
            }
            if ended {
                break;
            }
        }
        drop(bar);
        sink.finish()
    }

    #[allow(clippy::type_complexity)]
    fn begin<'a>(
        &self,
        context: &'a Context,
    ) -> Result<(Lines<Box<dyn std::io::Read + Send>>, Sink<'a>, Bar), CliError> {
        // Before a file of results is begun that would be in the way later.
        let (input, _) = bulk::open(&self.file, 0)?;
        let sink = Sink::open(context, &self.into, WHAT)?;
        let (line, offset) = match &sink.resumed {
            None => (0, 0),
            Some(place) => place
                .line
                .zip(place.next_offset)
                .ok_or_else(|| bulk::other_input(&self.file))?,
        };
        let (input, size) = match offset {
            0 => (input, size_of(&self.file)),
            _ => bulk::open(&self.file, offset)?,
        };
        let lines = Lines::new(input, JsonLimits::default().max_bytes, line, offset);
        Ok((lines, sink, Bar::of_bytes(context, size, offset)))
    }
}

fn size_of(file: &Path) -> Option<u64> {
    let meta = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file);
    meta.map(|meta| meta.len())
}

fn place(line: &Line<'_>) -> Place {
    Place {
        line: Some(line.number),
        next_offset: Some(line.end),
        attestation_id: None,
    }
}

/// What each request asks.
struct Asked {
    api: Arc<Api>,
    require_types: Vec<String>,
    times: Times,
    form: Form,
    now: String,
}

impl Asked {
    async fn judge(&self, block: &Block) -> Result<(Written, u64), CliError> {
        let mut written = Written::default();
        let lines: Vec<Line<'_>> = block.lines().collect();
        for lines in lines.chunks(TOGETHER) {
            // What is no text, or more than any server takes, is told apart
            // here: it cannot be sent.
            let mut sent = Vec::with_capacity(lines.len());
            let mut kept = Vec::with_capacity(lines.len());
            for line in lines {
                match sendable(line.bytes) {
                    Ok(text) => {
                        sent.push(text.to_owned());
                        kept.push(None);
                    }
                    Err(why) => kept.push(Some(self.unreadable(&why))),
                }
            }
            let mut verdicts = self.ask(sent).await?.into_iter();
            for (line, kept) in lines.iter().zip(kept) {
                let verdict = kept.or_else(|| verdicts.next()).ok_or_else(too_few)?;
                written.add(self.form, &place(line), &verdict)?;
            }
        }
        Ok((written, block.end))
    }

    /// In halves, where all of them are too much for this server at once.
    async fn ask(&self, documents: Vec<String>) -> Result<Vec<VerdictReport>, CliError> {
        let mut todo = VecDeque::from([documents]);
        let mut out = Vec::new();
        while let Some(documents) = todo.pop_front() {
            if documents.is_empty() {
                continue;
            }
            let request = VerifyBundles {
                documents,
                require_types: self.require_types.clone(),
                times: self.times.clone(),
            };
            let route = Route::to(&["verify", "bundles"]);
            match self.api.post::<VerdictList>(&route, &request).await {
                Ok(list) if list.verdicts.len() == request.documents.len() => out.extend(list.verdicts),
                Ok(_) => return Err(too_few()),
                Err(e) if matches!(e.code.as_str(), "body.too-large" | "verify.too-many") => {
                    let mut first = request.documents;
                    if first.len() == 1 {
                        out.push(self.unreadable(&e.what));
                        continue;
                    }
                    let second = first.split_off(first.len() / 2);
                    todo.push_front(second);
                    todo.push_front(first);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(out)
    }

    fn unreadable(&self, why: &dyn std::fmt::Display) -> VerdictReport {
        let detail = format!("invalid attestation: {why}");
        let check = Check::stop("envelope", Code::EnvelopeInvalid, detail);
        let judgement = core_report::stopped(String::new(), check);
        VerdictReport {
            verdict: judgement.verdict.to_string(),
            code: judgement.code.to_string(),
            subject: String::new(),
            predicate_type: None,
            attestation_id: None,
            anchor_id: None,
            artifact_bound: false,
            trace: core_report::trace(&judgement.trace),
            parts: Vec::new(),
            next: None,
            now: self.now.clone(),
        }
    }
}

fn sendable(bytes: &[u8]) -> Result<&str, JsonError> {
    let max = JsonLimits::default().max_bytes;
    if bytes.len() > max {
        let size = bytes.len();
        return Err(JsonError::TooLarge { size, max });
    }
    std::str::from_utf8(bytes).map_err(|e| JsonError::Utf8 { at: e.valid_up_to() })
}

fn too_few() -> CliError {
    CliError::failed("cli.answer", "the server did not answer about every document")
}
