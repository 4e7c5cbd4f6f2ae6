//! A key on a token, as the product signs with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use stella_core::alg::PublicKey;

use super::input::{input, signature};
use super::message::{Opened, Request, SIGN};
use super::requests::{Call, Requests};
use crate::hsm::{HsmError, HsmOptions, KeyReference, MechanismInput};
use crate::worker::Worker;
use crate::{Sign, SignError, StoreDescription};

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
}

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
        let call = Call {
            kind: SIGN,
            body: &[&opened.number.to_be_bytes(), &input],
            function: "C_Sign",
            timeout: options.request_timeout,
            deadline,
        };
        let made = self
            .requests
            .call(&worker, &options, &call)
            .map_err(|stopped| self.requests.plain(stopped))?;
        self.requests.succeeded(&worker);
        if opened.finished {
            return Ok(made);
        }
        signature(&self.place.expected, message, made).ok_or(SignFailure::NoSignature)
    }

    fn opened_on(
        &self,
        worker: &Arc<Worker>,
        options: &HsmOptions,
        deadline: Instant,
    ) -> Result<Arc<Opened>, HsmError> {
        {
            let opened = self.place.opened.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((generation, opened)) = &*opened
                && *generation == worker.generation
            {
                return Ok(Arc::clone(opened));
            }
        }
        self.open_on(worker, options, deadline)
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
