//! Keys on tokens behind a vendor's PKCS#11 library, which runs in a worker
//! process of its own.
//!
//! [`Pkcs11`] is the side of the product; [`module`] is that of the worker.

mod input;
mod key;
pub(crate) mod message;
pub(crate) mod module;
mod requests;
mod starting;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use stella_core::alg::{Algorithm, PublicKey};

pub use message::Configuration;

use crate::entropy::{Entropy, SystemEntropy};
use crate::hsm::{
    ErrorClass, FoundKey, Hsm, HsmError, HsmEvents, HsmOptions, HsmStatus, KeyReference, ModuleInfo,
    ModuleName, PinMemory, PinReport, Probe, ProbedKey, Slot, TokenSelector, probe_message,
};
use crate::worker::Worker;
use crate::{GenerateError, Sign, SignError, sign_verified};
use key::{Place, SignFailure, TokenKey};
use message::{Found, Generated, Request};
use requests::{Requests, Stopped};

/// One PKCS#11 module. Its worker is started when it is first needed.
pub struct Pkcs11 {
    requests: Arc<Requests>,
    /// Those in use, for a new worker to prove itself with.
    keys: Mutex<Vec<Weak<Place>>>,
}

impl Pkcs11 {
    pub fn new(options: HsmOptions, pins: Arc<dyn PinMemory>, events: Arc<dyn HsmEvents>) -> Self {
        Self {
            requests: Arc::new(Requests::new(options, pins, events)),
            keys: Mutex::default(),
        }
    }

    fn place(&self, at: &KeyReference, expected: &PublicKey) -> Arc<Place> {
        let place = Arc::new(Place::new(at.clone(), expected.clone()));
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|key| key.strong_count() > 0);
        keys.push(Arc::downgrade(&place));
        place
    }

    fn open(&self, at: &KeyReference, expected: &PublicKey) -> Result<TokenKey, HsmError> {
        let key = TokenKey::new(Arc::clone(&self.requests), self.place(at, expected));
        key.open()?;
        Ok(key)
    }

    /// A new worker serves the keys that are in use as well as the old one.
    fn prove(&self, requests: &Requests, worker: &Arc<Worker>, options: &HsmOptions) -> Result<(), HsmError> {
        let keys: Vec<Arc<Place>> = {
            let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter().filter_map(Weak::upgrade).collect()
        };
        let deadline = Instant::now() + options.start_timeout;
        for place in keys {
            let asked = Request::Open {
                at: place.at.clone(),
                expected: place.expected.clone(),
            };
            requests.ask_of::<message::Opened>(worker, options, &asked, deadline)?;
        }
        Ok(())
    }
}

impl Hsm for Pkcs11 {
    fn name(&self) -> &ModuleName {
        self.requests.name()
    }

    fn key(&self, at: &KeyReference, expected: &PublicKey) -> Result<Arc<dyn Sign>, SignError> {
        Ok(Arc::new(self.open(at, expected)?))
    }

    fn find(&self, at: &KeyReference) -> Result<FoundKey, HsmError> {
        let found: Found = self.requests.ask(&Request::Find(at.clone()))?;
        Ok(FoundKey {
            reference: KeyReference {
                module: at.module.clone(),
                token: found.token.name.into(),
                object: found.label,
                id: found.id,
            },
            public_key: found.public_key,
            key_type: found.key_type,
            sensitive: found.sensitive,
            extractable: found.extractable,
            always_sensitive: found.always_sensitive,
            never_extractable: found.never_extractable,
            local: found.local,
        })
    }

    fn generate(
        &self,
        token: &TokenSelector,
        label: &str,
        algorithm: Algorithm,
    ) -> Result<(KeyReference, PublicKey), GenerateError> {
        let mut id = vec![0; ID_LENGTH];
        SystemEntropy
            .fill(&mut id)
            .map_err(|e| GenerateError::Unavailable(e.to_string()))?;
        let asked = Request::Generate {
            token: token.clone(),
            label: label.to_owned(),
            id: id.clone(),
            algorithm,
        };
        let made: Generated = match self.requests.ask_slowly(&asked) {
            Ok(made) => made,
            Err(Stopped::LabelTaken(label)) => return Err(GenerateError::Exists(label)),
            Err(Stopped::UnsupportedAlgorithm(a)) => return Err(GenerateError::UnsupportedAlgorithm(a)),
            Err(Stopped::Error(e)) => return Err(e.into()),
        };
        let at = KeyReference {
            module: Some(self.name().clone()),
            token: made.token.name.into(),
            object: Some(label.to_owned()),
            id: Some(id),
        };
        let probe =
            probe_message(&mut SystemEntropy).map_err(|e| GenerateError::Unavailable(e.to_string()))?;
        self.open(&at, &made.public_key)
            .map_err(SignError::from)
            .and_then(|key| sign_verified(&key, &probe))
            .map_err(|e| {
                let text = format!("{at} was made and does not sign: {e}");
                match e {
                    SignError::Unavailable(_) | SignError::TimedOut(_) => GenerateError::Unavailable(text),
                    SignError::Unauthenticated(_) => GenerateError::Unauthenticated(text),
                    _ => GenerateError::Refused(text),
                }
            })?;
        Ok((at, made.public_key))
    }

    fn slots(&self) -> Result<Vec<Slot>, HsmError> {
        self.requests.ask(&Request::Slots)
    }

    fn info(&self) -> Result<ModuleInfo, HsmError> {
        self.requests.ask(&Request::Info)
    }

    fn check(&self, key: Option<(&KeyReference, &PublicKey)>) -> Result<Probe, HsmError> {
        let begun = Instant::now();
        let slots = self.slots()?;
        let key = match key {
            None => None,
            Some((at, expected)) => Some(self.probe(at, expected)?),
        };
        Ok(Probe {
            tokens: slots.iter().filter(|slot| slot.initialized).count(),
            key,
            took: begun.elapsed(),
        })
    }

    fn verify_pin(&self, token: &TokenSelector, force: bool) -> Result<PinReport, HsmError> {
        // A worker of its own: the one in use is logged in, and a library was
        // seen that goes on accepting the old PIN.
        let (worker, options) = self.requests.spare()?;
        let done = self.requests.verify_pin(&worker, &options, token, force);
        worker.retire(starting::timing(&options));
        done
    }

    fn reload(&self, options: HsmOptions) -> Result<(), HsmError> {
        self.requests.replace(options, |requests, worker, options| {
            self.prove(requests, worker, options)
        })
    }

    fn status(&self) -> HsmStatus {
        self.requests.status()
    }
}

impl Pkcs11 {
    fn probe(&self, at: &KeyReference, expected: &PublicKey) -> Result<ProbedKey, HsmError> {
        let key = TokenKey::new(
            Arc::clone(&self.requests),
            Arc::new(Place::new(at.clone(), expected.clone())),
        );
        let opened = key.open()?;
        let module = self.name().as_str();
        let message = probe_message(&mut SystemEntropy)
            .map_err(|e| HsmError::new(ErrorClass::Module, module, e.to_string()))?;
        let begun = Instant::now();
        let signed = key.try_sign(&message);
        let took = begun.elapsed();
        let verified = match signed {
            Ok(signature) => expected.verify(&message, &signature).is_ok(),
            Err(SignFailure::Hsm(e)) => return Err(e),
            Err(SignFailure::TooLarge { .. } | SignFailure::NoSignature) => false,
        };
        if !verified {
            return Err(HsmError::new(
                ErrorClass::Module,
                module,
                format!("the signature of a probe by {at} does not verify with its public key"),
            ));
        }
        Ok(ProbedKey {
            token_label: opened.token.name.label,
            token_serial: opened.token.name.serial,
            slot: opened.token.slot,
            mechanism: opened.mechanism.mechanism,
            took,
        })
    }
}

/// `CKA_ID` of keys made here.
const ID_LENGTH: usize = 8;
