//! Keeps one worker running: starts it when it is first needed, replaces it
//! when it failed, with a wait that grows, and swaps it for another on demand.

use std::cmp::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::backoff;
use super::instance::{End, Make, Timing, Worker};
use super::process::Watch;
use crate::entropy::{Entropy, SystemEntropy};
use crate::hsm::{ErrorClass, HsmError, HsmEvent, HsmEvents, HsmStatus, ModuleName, Severity, WorkerState};

/// Concurrency: every method may be called from any thread.
pub struct Supervisor {
    shared: Arc<Shared>,
    /// One replacement at a time.
    replacing: Mutex<()>,
}

struct Shared {
    name: ModuleName,
    events: Arc<dyn HsmEvents>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    make: Arc<dyn Make>,
    phase: Phase,
    since: Instant,
    next_generation: u64,
    starts: u64,
    /// In a row, none of which did anything good between.
    failures: u32,
    last_error: Option<(Instant, HsmError)>,
}

enum Phase {
    Idle,
    /// To be started, or being so.
    Starting,
    Running(Arc<Worker>),
    Waiting(Instant),
    Stopped,
}

impl Supervisor {
    /// Nothing is started before it is needed.
    pub fn new(make: Arc<dyn Make>, events: Arc<dyn HsmEvents>) -> Self {
        let shared = Shared {
            name: make.name().clone(),
            events,
            state: Mutex::new(State {
                make,
                phase: Phase::Idle,
                since: Instant::now(),
                next_generation: 1,
                starts: 0,
                failures: 0,
                last_error: None,
            }),
            changed: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            replacing: Mutex::new(()),
        }
    }

    /// The running worker, waiting for one that is being started. While it
    /// waits after a failure the answer is that failure.
    pub fn worker(&self, deadline: Instant) -> Result<Arc<Worker>, HsmError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        loop {
            match &state.phase {
                Phase::Running(worker) if !worker.has_ended() => return Ok(Arc::clone(worker)),
                Phase::Running(worker) => {
                    let worker = Arc::clone(worker);
                    drop(state);
                    shared.failed(&worker, &worker.post_mortem());
                    state = shared.lock();
                    continue;
                }
                Phase::Idle => {
                    state.enter(Phase::Starting);
                    if let Err(e) = shared.spawn_starter() {
                        state.enter(Phase::Idle);
                        return Err(e);
                    }
                }
                Phase::Starting => {}
                Phase::Waiting(until) => {
                    let mut error = match &state.last_error {
                        Some((_, error)) => error.clone(),
                        None => shared.ended_error("ended"),
                    };
                    let left = until.saturating_duration_since(Instant::now());
                    let next = format!("its next start is in {} ms", left.as_millis());
                    error.detail = match error.detail.as_str() {
                        "" => next,
                        detail => format!("{detail}; {next}"),
                    };
                    return Err(error);
                }
                Phase::Stopped => return Err(shared.ended_error("was stopped")),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(HsmError::new(
                    ErrorClass::Module,
                    shared.name.as_str(),
                    "its worker is being started and is not ready",
                ));
            }
            state = shared.wait(state, left);
        }
    }

    /// The running worker, if there is one that nobody need wait for.
    pub fn worker_now(&self) -> Option<Arc<Worker>> {
        match &self.shared.lock().phase {
            Phase::Running(worker) if !worker.has_ended() => Some(Arc::clone(worker)),
            _ => None,
        }
    }

    /// A request showed that the module does not work behind this worker: it
    /// is replaced. Others may hear the same of it; it counts once.
    pub fn failed(&self, worker: &Arc<Worker>, error: &HsmError) {
        self.shared.failed(worker, error);
    }

    /// A request showed that the module works.
    pub fn succeeded(&self, worker: &Worker) {
        if worker.prove() {
            self.shared.lock().failures = 0;
        }
    }

    /// Starts a worker of another make and hands it to `probe`. When both
    /// succeed it is the one that is used, and the old one finishes its work
    /// and ends; otherwise all stays as it was.
    pub fn replace(
        &self,
        make: Arc<dyn Make>,
        probe: impl FnOnce(&Arc<Worker>) -> Result<(), HsmError>,
    ) -> Result<(), HsmError> {
        let _one = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.shared.start(&*make)?;
        if let Err(e) = probe(&new) {
            new.retire(make.timing());
            return Err(e);
        }
        let mut state = self.shared.lock();
        if matches!(state.phase, Phase::Stopped) {
            drop(state);
            new.retire(make.timing());
            return Err(self.shared.ended_error("was stopped"));
        }
        let timing = state.make.timing();
        state.make = make;
        state.failures = 0;
        let old = state.enter(Phase::Running(Arc::clone(&new)));
        self.shared.changed.notify_all();
        drop(state);
        if let Phase::Running(old) = old {
            old.retire(timing);
        }
        self.shared.tell(
            Severity::Info,
            "worker.replaced",
            format!("worker {} has taken over", new.pid()),
        );
        Ok(())
    }

    /// A worker besides the one in use, for one task. It is to be retired;
    /// dropped, it is killed.
    pub fn spare(&self, make: &dyn Make) -> Result<Arc<Worker>, HsmError> {
        self.shared.start(make)
    }

    /// How it is made today.
    pub fn make(&self) -> Arc<dyn Make> {
        Arc::clone(&self.shared.lock().make)
    }

    pub fn status(&self) -> HsmStatus {
        let now = Instant::now();
        let state = self.shared.lock();
        let (worker_state, worker) = match &state.phase {
            Phase::Idle => (WorkerState::Idle, None),
            Phase::Starting => (WorkerState::Starting, None),
            Phase::Running(worker) => (WorkerState::Running, Some(worker)),
            Phase::Waiting(until) => {
                let next_start = until.saturating_duration_since(now);
                (WorkerState::Waiting { next_start }, None)
            }
            Phase::Stopped => (WorkerState::Stopped, None),
        };
        HsmStatus {
            state: worker_state,
            pid: worker.map(|worker| worker.pid()),
            age: now.saturating_duration_since(state.since),
            restarts: state.starts.saturating_sub(1),
            in_flight: worker.map_or(0, |worker| worker.link.in_flight()),
            last_error: state
                .last_error
                .as_ref()
                .map(|(at, error)| (now.saturating_duration_since(*at), error.clone())),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let timing = state.make.timing();
        let old = state.enter(Phase::Stopped);
        self.shared.changed.notify_all();
        drop(state);
        if let Phase::Running(worker) = old {
            worker.retire(timing);
        }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) -> Phase {
        self.since = Instant::now();
        std::mem::replace(&mut self.phase, phase)
    }

    /// After a failure: started again at once, or after a while.
    fn start_again(&mut self, error: &HsmError, timing: Timing) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some((Instant::now(), error.clone()));
        let wait = backoff::delay(self.failures, timing.first_backoff, timing.max_backoff, random());
        self.enter(if wait.is_zero() {
            Phase::Starting
        } else {
            Phase::Waiting(Instant::now() + wait)
        });
        wait
    }
}

impl Shared {
    fn spawn_starter(self: &Arc<Self>) -> Result<(), HsmError> {
        let shared = Arc::clone(self);
        thread::Builder::new()
            .name(format!("hsm {}", self.name))
            .spawn(move || shared.keep_starting())
            .map_err(|e| HsmError::new(ErrorClass::Module, self.name.as_str(), format!("no thread: {e}")))?;
        Ok(())
    }

    /// The one thread that starts what is to be started.
    fn keep_starting(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            match &state.phase {
                Phase::Stopped => return,
                Phase::Idle | Phase::Running(_) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Phase::Waiting(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.enter(Phase::Starting);
                    } else {
                        state = self.wait(state, left);
                    }
                }
                Phase::Starting => {
                    let make = Arc::clone(&state.make);
                    drop(state);
                    let started = self.start(&*make);
                    state = self.lock();
                    self.started(&mut state, &make, started);
                }
            }
        }
    }

    fn started(
        &self,
        state: &mut MutexGuard<'_, State>,
        make: &Arc<dyn Make>,
        started: Result<Arc<Worker>, HsmError>,
    ) {
        if !matches!(state.phase, Phase::Starting) || !Arc::ptr_eq(&state.make, make) {
            // Another took its place, or nobody needs one any more.
            if let Ok(worker) = started {
                worker.retire(make.timing());
            }
            return;
        }
        match started {
            Ok(worker) => {
                state.enter(Phase::Running(worker));
            }
            Err(error) => {
                let wait = state.start_again(&error, make.timing());
                self.tell(
                    Severity::Error,
                    "worker.start-failed",
                    format!("{error}; next start in {} ms", wait.as_millis()),
                );
            }
        }
        self.changed.notify_all();
    }

    fn start(self: &Arc<Self>, make: &dyn Make) -> Result<Arc<Worker>, HsmError> {
        let generation = {
            let mut state = self.lock();
            state.starts += 1;
            let generation = state.next_generation;
            state.next_generation += 1;
            generation
        };
        let end = Arc::<End>::default();
        let watch = Watcher {
            shared: Arc::downgrade(self),
            generation,
            end: Arc::clone(&end),
            lines: 0,
            since: Instant::now(),
        };
        let begun = Instant::now();
        let worker = Worker::start(make, generation, end, Box::new(watch))?;
        self.tell(
            Severity::Info,
            "worker.started",
            format!(
                "worker {} is ready after {} ms",
                worker.pid(),
                begun.elapsed().as_millis()
            ),
        );
        Ok(worker)
    }

    fn failed(&self, worker: &Arc<Worker>, error: &HsmError) {
        let mut state = self.lock();
        if !matches!(&state.phase, Phase::Running(running) if running.generation == worker.generation) {
            return;
        }
        let timing = state.make.timing();
        let wait = state.start_again(error, timing);
        self.changed.notify_all();
        drop(state);
        self.tell(
            Severity::Error,
            "worker.failed",
            format!("{error}; next start in {} ms", wait.as_millis()),
        );
        Arc::clone(worker).retire(timing);
    }

    /// A worker ended that nobody had asked to.
    fn died(&self, generation: u64) {
        let worker = match &self.lock().phase {
            Phase::Running(worker) if worker.generation == generation => Arc::clone(worker),
            _ => return,
        };
        self.failed(&worker, &worker.post_mortem());
    }

    fn ended_error(&self, how: &str) -> HsmError {
        HsmError {
            worker_killed: true,
            ..HsmError::new(
                ErrorClass::Module,
                self.name.as_str(),
                format!("its worker {how}"),
            )
        }
    }

    fn tell(&self, severity: Severity, kind: &'static str, text: String) {
        let event = HsmEvent { severity, kind, text };
        self.events.event(&self.name, &event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed
            .wait_timeout(state, at_most)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// The process's life, for the log and for whoever waits for an answer.
struct Watcher {
    shared: Weak<Shared>,
    generation: u64,
    end: Arc<End>,
    lines: u32,
    since: Instant,
}

impl Watch for Watcher {
    /// A library that talks much is not what a log is for.
    fn line(&mut self, line: &str) {
        if self.since.elapsed() > LINES_TIME {
            (self.lines, self.since) = (0, Instant::now());
        }
        self.lines = self.lines.saturating_add(1);
        let text = match self.lines.cmp(&MAX_LINES) {
            Ordering::Less => line.to_owned(),
            Ordering::Equal => format!("{line} (what follows within a minute is left out)"),
            Ordering::Greater => return,
        };
        if let Some(shared) = self.shared.upgrade() {
            shared.tell(Severity::Warning, "worker.said", text);
        }
    }

    fn ended(&mut self, how: &str) {
        self.end.because(how);
        if let Some(shared) = self.shared.upgrade() {
            shared.died(self.generation);
        }
    }
}

/// Of what a worker prints, so many lines are kept in so much time.
const MAX_LINES: u32 = 100;
const LINES_TIME: Duration = Duration::from_secs(60);

fn random() -> u32 {
    let mut bytes = [0; 4];
    match SystemEntropy.fill(&mut bytes) {
        Ok(()) => u32::from_be_bytes(bytes),
        // Restarts in step are better than none.
        Err(_) => 0,
    }
}
