//! One worker, from its start to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::CONFIGURE;
use super::frame::Kind;
use super::link::{Answer, Link, NoAnswer, Outcome};
use super::process::{Launch, Process, REAP, Watch};
use crate::hsm::{ErrorClass, HsmError, ModuleName};

/// How workers of one configuration are made.
pub trait Make: Send + Sync {
    fn name(&self) -> &ModuleName;

    fn launch(&self) -> Launch;

    /// What the worker is told first; it may hold secrets.
    fn configuration(&self) -> Zeroizing<Vec<u8>>;

    fn timing(&self) -> Timing;

    /// What is reported as hanging when it does not start.
    fn start_function(&self) -> &'static str;

    /// What it was about to do when it ends before it is ready.
    fn start_task(&self) -> String;

    /// From what a worker answered that would not be configured.
    fn refusal(&self, body: &[u8]) -> HsmError;
}

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub start: Duration,
    pub request: Duration,
    pub stop: Duration,
    pub first_backoff: Duration,
    pub max_backoff: Duration,
}

pub struct Worker {
    /// No two workers of a module have the same.
    pub generation: u64,
    pub link: Link,
    /// What it answered when it was configured.
    pub greeting: Vec<u8>,
    process: Arc<Process>,
    end: Arc<End>,
    name: ModuleName,
    /// Whether it did anything that shows the module works.
    proved: AtomicBool,
}

/// Why the worker ended: the first reason that was seen.
#[derive(Default)]
pub(super) struct End(Mutex<Option<String>>);

impl End {
    pub(super) fn because(&self, why: &str) {
        let mut end = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.get_or_insert_with(|| why.to_owned());
    }

    fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Worker {
    /// Starts one and configures it, within the start timeout.
    pub(super) fn start(
        make: &dyn Make,
        generation: u64,
        end: Arc<End>,
        watch: Box<dyn Watch>,
    ) -> Result<Arc<Self>, HsmError> {
        let timing = make.timing();
        let name = make.name().clone();
        let cannot = |e: std::io::Error| {
            HsmError::new(
                ErrorClass::Module,
                name.as_str(),
                format!("its worker cannot be started: {e}"),
            )
        };
        let (process, stream) = Process::spawn(&make.launch(), watch).map_err(cannot)?;
        let link = Link::new(stream, timing.request).map_err(|e| {
            process.kill();
            cannot(e)
        })?;
        let mut worker = Self {
            generation,
            link,
            greeting: Vec::new(),
            process,
            end,
            name: name.clone(),
            proved: AtomicBool::new(false),
        };
        let deadline = Instant::now() + timing.start;
        let result = match worker.link.call(CONFIGURE, &[&make.configuration()], deadline) {
            Ok(Answer {
                kind: CONFIGURE,
                body,
            }) => {
                worker.greeting = body;
                return Ok(Arc::new(worker));
            }
            Ok(Answer { body, .. }) => make.refusal(&body),
            Err(NoAnswer::TimedOut) => HsmError {
                function: Some(make.start_function().into()),
                deadline: Some(timing.start),
                worker_killed: true,
                ..HsmError::new(ErrorClass::TimedOut, name.as_str(), "")
            },
            Err(NoAnswer::Broken) => {
                let mut error = worker.post_mortem();
                error.detail = format!("{} while it was to {}", error.detail, make.start_task());
                error
            }
        };
        worker.kill(&result.to_string());
        Err(result)
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks. A worker that had its time and did not answer is killed, for
    /// nothing can be known of it any more, and everybody who waits for it
    /// hears so. One that was asked late is not: who waited for its start
    /// would kill what has just begun, and the next would do the same.
    pub fn call(
        &self,
        kind: Kind,
        body: &[&[u8]],
        function: &'static str,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Answer, HsmError> {
        let asked = Instant::now();
        let outcome = self.link.call(kind, body, deadline);
        self.judge(outcome, function, timeout, asked)
    }

    /// As [`call`](Self::call), without a thread that waits: `done` hears the
    /// outcome. False when that cannot be, and `done` hears nothing.
    pub fn ask(
        self: &Arc<Self>,
        kind: Kind,
        body: &[&[u8]],
        function: &'static str,
        timeout: Duration,
        deadline: Instant,
        done: impl FnOnce(Result<Answer, HsmError>) + Send + 'static,
    ) -> bool {
        let asked = Instant::now();
        let worker = Arc::clone(self);
        let done = move |outcome| done(worker.judge(outcome, function, timeout, asked));
        self.link.ask(kind, body, deadline, Box::new(done))
    }

    fn judge(
        &self,
        outcome: Outcome,
        function: &'static str,
        timeout: Duration,
        asked: Instant,
    ) -> Result<Answer, HsmError> {
        match outcome {
            Ok(answer) => Ok(answer),
            Err(NoAnswer::Broken) => Err(self.post_mortem()),
            Err(NoAnswer::TimedOut) => {
                let had_its_time = asked.elapsed() >= timeout / 2;
                if had_its_time {
                    self.kill(&format!("was killed, for it did not answer {function}"));
                }
                Err(HsmError {
                    function: Some(function.into()),
                    deadline: Some(timeout),
                    worker_killed: had_its_time,
                    ..HsmError::new(ErrorClass::TimedOut, self.name.as_str(), "")
                })
            }
        }
    }

    /// It did what a broken module cannot do. True the first time.
    pub fn prove(&self) -> bool {
        !self.proved.load(Ordering::Relaxed) && !self.proved.swap(true, Ordering::Relaxed)
    }

    pub fn has_ended(&self) -> bool {
        self.link.is_broken() || self.process.has_ended()
    }

    pub(super) fn kill(&self, why: &str) {
        self.end.because(why);
        self.process.kill();
        self.link.break_off();
    }

    /// Lets it answer who has it in hand, then lets it end, then makes it.
    /// Whoever asks it holds a reference, also before the question is sent.
    pub fn retire(self: Arc<Self>, timing: Timing) {
        let work = move || {
            let drained = Instant::now() + timing.request.max(timing.start);
            while Arc::strong_count(&self) > 1 && Instant::now() < drained {
                thread::sleep(DRAIN_STEP);
            }
            self.end.because("was replaced");
            self.link.finish();
            if !self.process.wait_until(Instant::now() + timing.stop) {
                self.process.kill();
            }
        };
        // Without a thread to wait nobody does: dropped, it is killed.
        let _ = thread::Builder::new()
            .name("worker retires".to_owned())
            .spawn(work);
    }

    /// It is gone: how, as far as that can be known soon.
    pub fn post_mortem(&self) -> HsmError {
        self.link.break_off();
        if self.end.why().is_none() && !self.process.wait_until(Instant::now() + REAP) {
            self.process.kill();
        }
        let why = self.end.why().unwrap_or_else(|| "ended".to_owned());
        HsmError {
            worker_killed: true,
            ..HsmError::new(
                ErrorClass::Module,
                self.name.as_str(),
                format!("its worker {why}"),
            )
        }
    }
}

/// Who lets it end in good order retires it. One that is stopped would hear
/// nothing of a closed socket.
impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill();
    }
}

const DRAIN_STEP: Duration = Duration::from_millis(2);
