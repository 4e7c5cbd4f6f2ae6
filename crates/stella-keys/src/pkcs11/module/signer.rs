//! A thread of the worker: it answers requests, in sessions of its own.

use serde::Serialize;

use super::Module;
use super::find::private_key;
use super::mechanism::blamed;
use super::session::Sessions;
use super::token::described;
use crate::hsm::ErrorClass;
use crate::pkcs11::message::{ASK, Failure, LOGIN, Login, Request, SIGN};
use crate::worker::child::Answering;
use crate::worker::{DONE, FAILED, Kind};

pub(super) struct Signer<'m> {
    module: &'m Module,
    sessions: Sessions,
}

impl<'m> Signer<'m> {
    pub(super) fn new(module: &'m Module) -> Self {
        Self {
            module,
            sessions: Sessions::default(),
        }
    }

    fn sign(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let unknown = || Failure::new(ErrorClass::Config, "no key was opened under this number");
        let (number, data) = body.split_first_chunk().ok_or_else(unknown)?;
        let number = u32::from_be_bytes(*number);
        let key = self.module.key(number).ok_or_else(unknown)?;
        let mechanism = key.way.sign_mechanism();
        let made = self.sessions.with(self.module, &key.token, |live| {
            let handle = match live.handles.get(&number) {
                Some(handle) => *handle,
                None => {
                    let handle = private_key(live, &key.token, &key.reference)?;
                    live.handles.insert(number, handle);
                    handle
                }
            };
            Ok(live.session.sign(&mechanism, handle, data)?)
        });
        made.map_err(|failure| blamed(failure, &key.way, "sign", &self.module.configuration))
    }

    fn ask(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let request: Request = serde_json::from_slice(body).map_err(unreadable)?;
        let module = self.module;
        match request {
            Request::Slots => put(out, &module.slots()?),
            Request::Info => put(out, &module.info()?),
            Request::Token(selector) => {
                let (slot, info) = module.resolve(&selector)?;
                put(out, &described(slot, &info))
            }
            Request::Open { at, expected } => put(out, &module.open(&mut self.sessions, at, &expected)?),
            Request::Find(at) => put(out, &module.find(&mut self.sessions, &at)?),
            Request::Generate {
                token,
                label,
                id,
                algorithm,
            } => put(out, &module.generate(&token, &label, &id, algorithm)?),
        }
    }

    fn login(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let login = Login::decode(body).ok_or_else(|| Failure::new(ErrorClass::Config, "no login"))?;
        put(out, &self.module.login(&login)?)
    }
}

impl Answering for Signer<'_> {
    fn answer(&mut self, kind: Kind, body: &[u8], out: &mut Vec<u8>) -> Kind {
        let done = match kind {
            SIGN => self.sign(body).map(|signature| out.extend_from_slice(&signature)),
            ASK => self.ask(body, out),
            LOGIN => self.login(body, out),
            _ => Err(Failure::new(ErrorClass::Config, "an unknown request")),
        };
        match done {
            Ok(()) => DONE,
            Err(failure) => {
                out.clear();
                let _ = put(out, &failure);
                FAILED
            }
        }
    }
}

fn put(out: &mut Vec<u8>, answer: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(out, answer).map_err(unreadable)
}

fn unreadable(e: serde_json::Error) -> Failure {
    Failure::new(
        ErrorClass::Config,
        format!("worker and parent do not understand each other: {e}"),
    )
}
