//! Asking the worker, with the login that it needs on the way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use stella_core::alg::Algorithm;

use super::message::{ASK, Failure, LOGIN, LoggedIn, Login, Request, Token, TokenName};
use super::starting::Starting;
use crate::hsm::{
    ErrorClass, HsmError, HsmEvent, HsmEvents, HsmOptions, HsmStatus, ModuleName, Pin, PinMemory,
    PinMemoryError, PinReport, Severity, TokenSelector,
};
use crate::worker::{Answer, DONE, Kind, Supervisor, Worker};

pub(super) struct Requests {
    name: ModuleName,
    options: RwLock<Arc<HsmOptions>>,
    supervisor: Supervisor,
    pins: Arc<dyn PinMemory>,
    events: Arc<dyn HsmEvents>,
    /// One login at a time: a PIN that is refused is tried once. Holds the
    /// tokens that accepted the PIN in the options.
    logging_in: Mutex<BTreeSet<String>>,
}

/// Why a request was not done, where callers tell more cases apart.
pub(super) enum Stopped {
    LabelTaken(String),
    UnsupportedAlgorithm(Algorithm),
    Error(HsmError),
}

impl From<HsmError> for Stopped {
    fn from(e: HsmError) -> Self {
        Self::Error(e)
    }
}

/// One request on its way.
pub(super) struct Call<'a> {
    pub kind: Kind,
    pub body: &'a [&'a [u8]],
    pub function: &'static str,
    pub timeout: Duration,
    pub deadline: Instant,
}

impl Requests {
    pub(super) fn new(options: HsmOptions, pins: Arc<dyn PinMemory>, events: Arc<dyn HsmEvents>) -> Self {
        Self {
            name: options.name.clone(),
            supervisor: Supervisor::new(Arc::new(Starting(options.clone())), Arc::clone(&events)),
            options: RwLock::new(Arc::new(options)),
            pins,
            events,
            logging_in: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &ModuleName {
        &self.name
    }

    pub(super) fn options(&self) -> Arc<HsmOptions> {
        Arc::clone(&self.options.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn status(&self) -> HsmStatus {
        self.supervisor.status()
    }

    pub(super) fn worker(&self, deadline: Instant) -> Result<Arc<Worker>, HsmError> {
        self.supervisor.worker(deadline)
    }

    pub(super) fn worker_now(&self) -> Option<Arc<Worker>> {
        self.supervisor.worker_now()
    }

    pub(super) fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R, HsmError> {
        let options = self.options();
        let deadline = Instant::now() + options.request_timeout;
        let worker = self.worker(deadline)?;
        self.ask_of(&worker, &options, request, deadline)
    }

    /// What takes a token longer than signing.
    pub(super) fn ask_slowly<R: DeserializeOwned>(&self, request: &Request) -> Result<R, Stopped> {
        let options = self.options();
        let deadline = Instant::now() + options.start_timeout;
        let worker = self.worker(deadline)?;
        self.json(&worker, &options, request, options.start_timeout, deadline)
    }

    pub(super) fn ask_of<R: DeserializeOwned>(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        request: &Request,
        deadline: Instant,
    ) -> Result<R, HsmError> {
        self.json(worker, options, request, options.request_timeout, deadline)
            .map_err(|stopped| self.plain(stopped))
    }

    pub(super) fn plain(&self, stopped: Stopped) -> HsmError {
        let failure = match stopped {
            Stopped::Error(e) => return e,
            Stopped::LabelTaken(label) => Failure::LabelTaken(label),
            Stopped::UnsupportedAlgorithm(algorithm) => Failure::UnsupportedAlgorithm(algorithm),
        };
        self.failed(failure)
    }

    fn json<R: DeserializeOwned>(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        request: &Request,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<R, Stopped> {
        let broken = |e: serde_json::Error| self.error(ErrorClass::Module, e.to_string());
        let body = serde_json::to_vec(request).map_err(broken)?;
        let call = Call {
            kind: ASK,
            body: &[&body],
            function: request.function(),
            timeout,
            deadline,
        };
        let answer = self.call(worker, options, &call)?;
        Ok(serde_json::from_slice(&answer).map_err(broken)?)
    }

    /// Asks, logging in when the worker says that this is needed, once.
    pub(super) fn call(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        call: &Call<'_>,
    ) -> Result<Vec<u8>, Stopped> {
        let first = self.once(worker, call)?;
        self.go_on(first, worker, options, call)
    }

    /// As [`call`](Self::call), from the first answer on.
    pub(super) fn go_on(
        &self,
        mut answer: Result<Vec<u8>, Failure>,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        call: &Call<'_>,
    ) -> Result<Vec<u8>, Stopped> {
        let mut logged_in = false;
        loop {
            let failure = match answer {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match failure {
                Failure::LoginNeeded(token) if !logged_in => {
                    self.login(worker, options, &token, false, call.deadline)?;
                    logged_in = true;
                    answer = self.once(worker, call)?;
                }
                Failure::LabelTaken(label) => return Err(Stopped::LabelTaken(label)),
                Failure::UnsupportedAlgorithm(a) => return Err(Stopped::UnsupportedAlgorithm(a)),
                other => {
                    let restart = other.wants_restart();
                    let error = self.failed(other);
                    if restart {
                        self.supervisor.failed(worker, &error);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    fn once(&self, worker: &Arc<Worker>, call: &Call<'_>) -> Result<Result<Vec<u8>, Failure>, HsmError> {
        let answer = worker.call(call.kind, call.body, call.function, call.timeout, call.deadline);
        self.read(worker, answer)
    }

    /// As the first step of [`call`](Self::call), without a thread that waits.
    pub(super) fn ask_once(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        call: &Call<'_>,
        done: impl FnOnce(Result<Result<Vec<u8>, Failure>, HsmError>) + Send + 'static,
    ) -> bool {
        let (this, asked) = (Arc::clone(self), Arc::clone(worker));
        let done = move |answer| done(this.read(&asked, answer));
        worker.ask(
            call.kind,
            call.body,
            call.function,
            call.timeout,
            call.deadline,
            done,
        )
    }

    fn read(
        &self,
        worker: &Arc<Worker>,
        answer: Result<Answer, HsmError>,
    ) -> Result<Result<Vec<u8>, Failure>, HsmError> {
        let answer = answer.inspect_err(|error| {
            if error.worker_killed {
                self.supervisor.failed(worker, error);
            }
        })?;
        if answer.kind == DONE {
            return Ok(Ok(answer.body));
        }
        let failure = serde_json::from_slice(&answer.body)
            .map_err(|_| self.error(ErrorClass::Module, "its worker failed inside"))?;
        Ok(Err(failure))
    }

    pub(super) fn succeeded(&self, worker: &Worker) {
        self.supervisor.succeeded(worker);
    }

    /// Tries the PIN, unless the token is known to have refused it.
    fn login(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        token: &TokenName,
        force: bool,
        deadline: Instant,
    ) -> Result<LoggedIn, HsmError> {
        let mut accepted = self.logging_in.lock().unwrap_or_else(PoisonError::into_inner);
        let none = Pin::new(Vec::new());
        let pin = options.pin.as_ref().unwrap_or(&none);
        let serial = &token.serial;
        if !force && self.pins.refused(serial, pin).map_err(|e| self.no_memory(&e))? {
            return Err(self.error(
                ErrorClass::Auth,
                format!("the token {token} refused this PIN before; it is not tried again by itself"),
            ));
        }
        // A token that accepted this PIN before and now says nothing is cut
        // off. One that never did may be counting wrong PINs.
        let unanswered = if options.pin_is_new {
            0
        } else {
            self.pins.unanswered(serial).map_err(|e| self.no_memory(&e))?
        };
        if !force && !accepted.contains(serial) && unanswered >= options.unanswered_logins {
            return Err(self.error(
                ErrorClass::Auth,
                format!(
                    "{unanswered} logins at the token {token} had no answer, and the token may have counted them as wrong; none is tried by itself: stella crypto hsm auth verify --force"
                ),
            ));
        }
        let body = Login {
            force,
            doubt: unanswered > 0,
            token: token.clone(),
            pin: pin.expose(),
        }
        .encode()
        .ok_or_else(|| self.error(ErrorClass::Config, "the name of the token is too long"))?;
        let call = Call {
            kind: LOGIN,
            body: &[&body],
            function: "C_Login",
            timeout: options.request_timeout,
            deadline,
        };
        self.pins.begin(serial).map_err(|e| self.no_memory(&e))?;
        match self.once(worker, &call)? {
            Ok(answer) => {
                accepted.insert(serial.clone());
                let logged_in: LoggedIn = serde_json::from_slice(&answer)
                    .map_err(|e| self.error(ErrorClass::Module, e.to_string()))?;
                self.pins.forget(serial).map_err(|e| self.no_memory(&e))?;
                if logged_in.before.is_some_and(|pin| pin.count_low) {
                    self.tell(
                        Severity::Warning,
                        "pin.count-low",
                        format!("somebody had entered a wrong PIN at the token {token}"),
                    );
                }
                Ok(logged_in)
            }
            Err(failure) => {
                let restart = failure.wants_restart();
                let error = self.failed(failure);
                let tried = error.function.as_deref() == Some("C_Login");
                if error.class == ErrorClass::Auth && tried {
                    self.pins
                        .remember_refused(serial, pin)
                        .map_err(|e| self.no_memory(&e))?;
                    accepted.remove(serial);
                    self.tell(Severity::Error, "pin.refused", error.to_string());
                } else if !tried || error.class != ErrorClass::Module {
                    self.pins.withdraw(serial).map_err(|e| self.no_memory(&e))?;
                }
                // What is left (a device error of C_Login) may have come after
                // the token counted the PIN: its note stays.
                if restart {
                    self.supervisor.failed(worker, &error);
                }
                Err(error)
            }
        }
    }

    /// Tries the PIN of the options on a worker that nobody else uses.
    pub(super) fn verify_pin(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        token: &TokenSelector,
        force: bool,
    ) -> Result<PinReport, HsmError> {
        let deadline = || Instant::now() + options.request_timeout;
        let look = || {
            let deadline = deadline();
            self.ask_of::<Token>(worker, options, &Request::Token(token.clone()), deadline)
        };
        let before = look()?;
        self.login(worker, options, &before.name, force, deadline())?;
        Ok(PinReport {
            after: look()?.pin,
            token_label: before.name.label,
            token_serial: before.name.serial,
            slot: before.slot,
            before: before.pin,
        })
    }

    /// A worker besides the one in use.
    pub(super) fn spare(&self) -> Result<(Arc<Worker>, Arc<HsmOptions>), HsmError> {
        let options = self.options();
        let worker = self.supervisor.spare(&*self.supervisor.make())?;
        Ok((worker, options))
    }

    pub(super) fn replace(
        &self,
        options: HsmOptions,
        prove: impl FnOnce(&Self, &Arc<Worker>, &HsmOptions) -> Result<(), HsmError>,
    ) -> Result<(), HsmError> {
        let make = Arc::new(Starting(options.clone()));
        self.supervisor.replace(make, |worker| {
            prove(self, worker, &options)?;
            *self.options.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options.clone());
            // Of another PIN, perhaps.
            let mut accepted = self.logging_in.lock().unwrap_or_else(PoisonError::into_inner);
            accepted.clear();
            Ok(())
        })
    }

    fn no_memory(&self, e: &PinMemoryError) -> HsmError {
        self.error(ErrorClass::Auth, format!("no PIN is tried: {e}"))
    }

    fn error(&self, class: ErrorClass, detail: impl Into<String>) -> HsmError {
        HsmError::new(class, self.name.as_str(), detail).of(self.options().kind)
    }

    fn failed(&self, failure: Failure) -> HsmError {
        failure.into_error(self.name.as_str()).of(self.options().kind)
    }

    fn tell(&self, severity: Severity, kind: &'static str, text: String) {
        self.events.event(&self.name, &HsmEvent { severity, kind, text });
    }
}
