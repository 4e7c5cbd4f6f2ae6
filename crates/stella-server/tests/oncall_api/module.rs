//! A module that answers as a test wants it to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stella_core::alg::{Algorithm, PublicKey};
use stella_keys::hsm::{
    ErrorClass, FoundKey, Hsm, HsmError, HsmOptions, HsmStatus, KeyReference, LoginState, ModuleInfo,
    ModuleName, PinReport, PinState, Probe, ProbedKey, Slot, TokenSelector, WorkerState,
};
use stella_keys::software::SoftwareKey;
use stella_keys::{GenerateError, Sign, SignError};

pub struct Module {
    name: ModuleName,
    state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    pub down: Option<HsmError>,
    pub pin: PinState,
    pub asked: Vec<&'static str>,
}

impl Module {
    pub fn named(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.parse().expect("a module's name"),
            state: Mutex::default(),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn fails(&self, class: ErrorClass, function: &'static str, ckr: &'static str) {
        self.state().down = Some(HsmError {
            function: Some(function.into()),
            ckr: Some(ckr.into()),
            ..HsmError::new(class, self.name.as_str(), "as the test wants it")
        });
    }

    fn answer<T>(&self, asked: &'static str, good: impl FnOnce(PinState) -> T) -> Result<T, HsmError> {
        let mut state = self.state();
        state.asked.push(asked);
        match &state.down {
            Some(error) => Err(error.clone()),
            None => Ok(good(state.pin)),
        }
    }
}

impl Hsm for Module {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    fn key(&self, _: &KeyReference, _: &PublicKey) -> Result<Arc<dyn Sign>, SignError> {
        Err(SignError::KeyMissing("this module has none".to_owned()))
    }

    fn find(&self, at: &KeyReference) -> Result<FoundKey, HsmError> {
        Err(HsmError::new(
            ErrorClass::KeyMissing,
            self.name.as_str(),
            at.to_string(),
        ))
    }

    fn generate(
        &self,
        _: &TokenSelector,
        _: &str,
        _: Algorithm,
    ) -> Result<(KeyReference, PublicKey), GenerateError> {
        Err(GenerateError::Refused("this module makes none".to_owned()))
    }

    fn slots(&self) -> Result<Vec<Slot>, HsmError> {
        self.answer("slots", |pin| {
            vec![Slot {
                id: 7,
                description: "a slot".to_owned(),
                token_present: true,
                initialized: true,
                label: "stella".to_owned(),
                serial: "c0ffee".to_owned(),
                manufacturer: "a vendor".to_owned(),
                model: "a model".to_owned(),
                login: LoginState::LoggedIn,
                pin,
                mechanisms: Vec::new(),
            }]
        })
    }

    fn info(&self) -> Result<ModuleInfo, HsmError> {
        self.answer("info", |_| ModuleInfo {
            library: "/usr/lib/module.so".into(),
            manufacturer: "a vendor".to_owned(),
            description: "a library".to_owned(),
            library_version: "2.6".to_owned(),
            cryptoki_version: "2.40".to_owned(),
            mechanisms: Vec::new(),
        })
    }

    fn check(&self, key: Option<(&KeyReference, &PublicKey)>) -> Result<Probe, HsmError> {
        self.answer("check", |_| Probe {
            tokens: 1,
            key: key.map(|_| ProbedKey {
                token_label: "stella".to_owned(),
                token_serial: "c0ffee".to_owned(),
                slot: 7,
                mechanism: "CKM_ECDSA".to_owned(),
                took: Duration::from_millis(1),
            }),
            took: Duration::from_millis(2),
        })
    }

    fn verify_pin(&self, _: &TokenSelector, force: bool) -> Result<PinReport, HsmError> {
        self.answer(if force { "force-pin" } else { "pin" }, |pin| PinReport {
            token_label: "stella".to_owned(),
            token_serial: "c0ffee".to_owned(),
            slot: 7,
            before: pin,
            after: PinState::default(),
        })
    }

    fn reload(&self, _: HsmOptions) -> Result<(), HsmError> {
        self.answer("reload", |_| ())
    }

    fn status(&self) -> HsmStatus {
        HsmStatus {
            state: WorkerState::Running,
            pid: Some(1),
            age: Duration::from_secs(1),
            restarts: 0,
            in_flight: 0,
            last_error: None,
        }
    }
}

/// The public half of a key that nobody signs with.
pub fn public_key() -> PublicKey {
    let algorithm = "SHA256-ECDSA-P256".parse().expect("an algorithm");
    SoftwareKey::generate(algorithm, &mut stella_keys::entropy::SystemEntropy)
        .expect("a key")
        .public_key()
        .clone()
}
