//! A module that answers as a test wants it to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stella_core::alg::{Algorithm, PublicKey};
use stella_keys::hsm::{
    ErrorClass, FoundKey, Hsm, HsmError, HsmOptions, HsmStatus, KeyReference, LoginState, Mechanism,
    ModuleInfo, ModuleName, Pin, PinReport, PinState, Probe, ProbedKey, Slot, TokenSelector, WorkerState,
};
use stella_keys::software::SoftwareKey;
use stella_keys::{GenerateError, Sign, SignError};
use stella_server::app::crypto::hsm::OpenModule;
use stella_server::config::HsmModule;

pub struct Module {
    name: ModuleName,
    state: Arc<Mutex<State>>,
    /// Of the instance that is meant to try it.
    pin: Option<Pin>,
}

#[derive(Default)]
pub struct State {
    pub down: Option<HsmError>,
    pub pin: PinState,
    pub asked: Vec<&'static str>,
    /// What the token would accept, if it is not anything.
    pub right_pin: Option<Pin>,
    pub reloaded_with: Option<HsmOptions>,
    pub opened_with: Option<HsmOptions>,
    pub no_token: bool,
}

/// Opens every module as this one; its PIN file says 1234.
pub struct Opener(pub Arc<Module>);

impl OpenModule for Opener {
    fn options(&self, settings: &HsmModule) -> stella_server::app::Result<HsmOptions> {
        let name = settings.name.parse().expect("a module's name");
        let mut options = HsmOptions::new(name, settings.library_path.clone());
        options.pin = Some(Pin::new(b"1234".to_vec()));
        options.session_timeout = settings.session.timeout;
        Ok(options)
    }

    fn open(&self, options: HsmOptions) -> Arc<dyn Hsm> {
        self.0.state().opened_with = Some(options.clone());
        Arc::new(Module {
            name: self.0.name.clone(),
            state: Arc::clone(&self.0.state),
            pin: options.pin,
        })
    }
}

impl Module {
    pub fn named(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.parse().expect("a module's name"),
            state: Arc::default(),
            pin: None,
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
        self.answer("key", |_| ())?;
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
        let no_token = self.state().no_token;
        self.answer("slots", |pin| {
            if no_token {
                return Vec::new();
            }
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
            mechanisms: vec![Mechanism {
                algorithm: "SHA256-ECDSA-P256".parse().expect("an algorithm"),
                mechanism: "CKM_ECDSA".to_owned(),
                generates: true,
            }],
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
        let right = self.state().right_pin.clone();
        if right.is_some() && right != self.pin {
            self.state().asked.push("wrong-pin");
            return Err(HsmError {
                function: Some("C_Login".into()),
                ckr: Some("CKR_PIN_INCORRECT".into()),
                ..HsmError::new(ErrorClass::Auth, self.name.as_str(), "the token refused the PIN")
            });
        }
        self.answer(if force { "force-pin" } else { "pin" }, |pin| PinReport {
            token_label: "stella".to_owned(),
            token_serial: "c0ffee".to_owned(),
            slot: 7,
            before: pin,
            after: PinState::default(),
        })
    }

    fn reload(&self, options: HsmOptions) -> Result<(), HsmError> {
        self.answer("reload", |_| ())?;
        self.state().reloaded_with = Some(options);
        Ok(())
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
