//! A key on a token, as the product signs with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use stella_core::alg::PublicKey;
use tokio::sync::oneshot;

use super::input::{input, signature};
use super::message::{Opened, Request, SIGN};
use super::requests::{Call, Requests};
use crate::hsm::{HsmError, HsmOptions, KeyReference, MechanismInput};
use crate::worker::Worker;
use crate::{Progress, Sign, SignError, Signing, StoreDescription};

/// Where a key is, and which one it must be.
pub(super) struct Place {
    pub at: KeyReference,
    pub expected: PublicKey,
    /// As the worker of this generation knows it.
    opened: Mutex<Option<(u64, Arc<Opened>)>>,
}

impl Place {
    pub(super) fn new(at: KeyReference, expected: PublicKey) -> Self {
        Self {
            at,
            expected,
            opened: Mutex::default(),
        }
    }

    fn opened_by(&self, worker: &Worker) -> Option<Arc<Opened>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, opened) = opened.as_ref()?;
        (*generation == worker.generation).then(|| Arc::clone(opened))
    }
}

fn sign_call<'a>(body: &'a [&'a [u8]], options: &HsmOptions, deadline: Instant) -> Call<'a> {
    Call {
        kind: SIGN,
        body,
        function: "C_Sign",
        timeout: options.request_timeout,
        deadline,
    }
}

#[derive(Clone)]
pub(super) struct TokenKey {
    requests: Arc<Requests>,
    place: Arc<Place>,
}

impl TokenKey {
    pub(super) fn new(requests: Arc<Requests>, place: Arc<Place>) -> Self {
        Self { requests, place }
    }

    /// Finds the key anew, whatever is known of it.
    pub(super) fn open(&self) -> Result<Opened, HsmError> {
        let options = self.requests.options();
        let deadline = Instant::now() + options.request_timeout;
        let worker = self.requests.worker(deadline)?;
        let opened = self.open_on(&worker, &options, deadline)?;
        Ok(Opened::clone(&opened))
    }

    pub(super) fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFailure> {
        let options = self.requests.options();
        let deadline = Instant::now() + options.request_timeout;
        let worker = self.requests.worker(deadline)?;
        let opened = self.opened_on(&worker, &options, deadline)?;
        let input = input(&self.place.expected, opened.input, message);
        if opened.input == MechanismInput::Message && message.len() > options.max_message {
            return Err(SignFailure::TooLarge {
                limit: options.max_message,
                actual: message.len(),
            });
        }
        let number = opened.number.to_be_bytes();
        let body = [&number[..], &input];
        let call = sign_call(&body, &options, deadline);
        let made = self
            .requests
            .call(&worker, &options, &call)
            .map_err(|stopped| self.requests.plain(stopped))?;
        self.read(&worker, &opened, message, made)
    }

    fn read(
        &self,
        worker: &Worker,
        opened: &Opened,
        message: &[u8],
        made: Vec<u8>,
    ) -> Result<Vec<u8>, SignFailure> {
        self.requests.succeeded(worker);
        if opened.finished {
            return Ok(made);
        }
        signature(&self.place.expected, message, made).ok_or(SignFailure::NoSignature)
    }

    /// Only where the key is open and the worker runs, and what it is asked
    /// is short.
    fn ask(&self, message: &Arc<[u8]>) -> Option<Signing> {
        let options = self.requests.options();
        let deadline = Instant::now() + options.request_timeout;
        let worker = self.requests.worker_now()?;
        let opened = self.place.opened_by(&worker)?;
        let input = input(&self.place.expected, opened.input, message);
        let body = [&opened.number.to_be_bytes()[..], &input].concat();
        let (tell, told) = oneshot::channel();
        let parts = [&body[..]];
        let call = sign_call(&parts, &options, deadline);
        let asked = self.requests.ask_once(&worker, &call, |outcome| {
            // Nobody listens any more when the caller gave up.
            let _ = tell.send(outcome);
        });
        let (this, message) = (self.clone(), Arc::clone(message));
        asked.then(|| -> Signing {
            Box::pin(async move {
                let answer = match told.await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => return Progress::Done(Err(error.into())),
                    Err(_) => return Progress::Done(Err(SignError::Internal("nobody answered".to_owned()))),
                };
                if let Ok(made) = answer {
                    return Progress::Done(this.read(&worker, &opened, &message, made).map_err(Into::into));
                }
                Progress::Blocks(Box::new(move || {
                    let parts = [&body[..]];
                    let call = sign_call(&parts, &options, deadline);
                    let made = this
                        .requests
                        .go_on(answer, &worker, &options, &call)
                        .map_err(|stopped| SignFailure::from(this.requests.plain(stopped)))?;
                    Ok(this.read(&worker, &opened, &message, made)?)
                }))
            })
        })
    }

    fn opened_on(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        deadline: Instant,
    ) -> Result<Arc<Opened>, HsmError> {
        match self.place.opened_by(worker) {
            Some(opened) => Ok(opened),
            None => self.open_on(worker, options, deadline),
        }
    }

    fn open_on(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        deadline: Instant,
    ) -> Result<Arc<Opened>, HsmError> {
        let asked = Request::Open {
            at: self.place.at.clone(),
            expected: self.place.expected.clone(),
        };
        let opened: Arc<Opened> = Arc::new(self.requests.ask_of(worker, options, &asked, deadline)?);
        let mut place = self.place.opened.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some((worker.generation, Arc::clone(&opened)));
        Ok(opened)
    }
}

impl Sign for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.place.expected
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.try_sign(message).map_err(Into::into)
    }

    fn begin(&self, message: &Arc<[u8]>) -> Option<Signing> {
        self.ask(message)
    }

    fn describe(&self) -> StoreDescription {
        let opened = self.place.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = opened.as_ref().map(|(_, opened)| opened);
        StoreDescription {
            store: format!("hsm {}", self.requests.name()),
            mechanism: opened.map_or_else(
                || "not known before the token is there".to_owned(),
                |opened| opened.mechanism.mechanism.clone(),
            ),
            slot: opened.map(|opened| {
                let token = &opened.token;
                format!("{}, token {}", token.slot, token.name)
            }),
        }
    }
}

/// Why a token key did not sign.
pub(super) enum SignFailure {
    Hsm(HsmError),
    TooLarge {
        limit: usize,
        actual: usize,
    },
    /// What came back cannot be a signature.
    NoSignature,
}

impl From<HsmError> for SignFailure {
    fn from(e: HsmError) -> Self {
        Self::Hsm(e)
    }
}

impl From<SignFailure> for SignError {
    fn from(failure: SignFailure) -> Self {
        match failure {
            SignFailure::Hsm(e) => e.into(),
            SignFailure::TooLarge { limit, actual } => Self::MessageTooLarge { limit, actual },
            SignFailure::NoSignature => Self::DoesNotVerify,
        }
    }
}
