//! The part that runs inside the worker, the only process that ever has a
//! local HSM open. It answers what the worker of a PKCS#11 module answers, as
//! a module with one token that cannot be taken out.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use stella_core::alg::{Algorithm, PublicKey};
use stella_core::id::KeyId;

use super::error::LocalError;
use super::vault::{TokenState, Vault, state};
use crate::Sign;
use crate::entropy::SystemEntropy;
use crate::hsm::{
    ErrorClass, HsmOptions, KeyReference, LoginState, Mechanism, MechanismInput, ModuleInfo, ModuleName, Pin,
    PinState, Slot, TokenSelector,
};
use crate::pkcs11::message::{
    ASK, Failure, Found, Generated, LOGIN, LoggedIn, Login, Opened, Request, SIGN, Token, TokenName,
};
use crate::worker::child::{Answering, Configured, Serve};
use crate::worker::{DONE, FAILED, Kind};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Configuration {
    name: ModuleName,
    folder: PathBuf,
    signers: usize,
}

impl From<&HsmOptions> for Configuration {
    fn from(options: &HsmOptions) -> Self {
        Self {
            name: options.name.clone(),
            folder: options.library.clone(),
            signers: options.signers.max(1),
        }
    }
}

pub(crate) struct LocalModule {
    configuration: Configuration,
    /// Once somebody has logged in.
    vault: RwLock<Option<Arc<Vault>>>,
    /// By the numbers that the parent knows.
    keys: RwLock<Vec<KeyId>>,
}

impl LocalModule {
    /// From the first frame's content.
    pub(crate) fn start(configuration: Configuration) -> Configured {
        let module = Self {
            configuration,
            vault: RwLock::default(),
            keys: RwLock::default(),
        };
        match module.state() {
            Ok(_) => Ok((Box::new(module), Vec::new())),
            Err(failure) => Err(serde_json::to_vec(&failure).unwrap_or_default()),
        }
    }

    fn state(&self) -> Result<TokenState, Failure> {
        let state = state(&self.configuration.folder)?;
        if state.name != self.configuration.name {
            return Err(Failure::new(
                ErrorClass::Config,
                format!(
                    "{} is the local HSM \"{}\", not \"{}\"",
                    self.configuration.folder.display(),
                    state.name,
                    self.configuration.name
                ),
            ));
        }
        Ok(state)
    }

    fn token(&self, selector: &TokenSelector) -> Result<Token, Failure> {
        let state = self.state()?;
        let meant = match selector {
            TokenSelector::Slot(slot) => *slot == SLOT,
            TokenSelector::Token { label, serial } => {
                label == state.name.as_str() && serial.as_ref().is_none_or(|serial| *serial == state.serial)
            }
        };
        if !meant {
            return Err(Failure::new(
                ErrorClass::KeyMissing,
                format!("it is the token \"{}\" (serial {})", state.name, state.serial),
            ));
        }
        Ok(Token {
            slot: SLOT,
            pin: pin_state(&state),
            name: name(&state),
        })
    }

    fn vault(&self) -> Result<Arc<Vault>, Failure> {
        let vault = self.vault.read().unwrap_or_else(PoisonError::into_inner);
        match &*vault {
            Some(vault) => Ok(Arc::clone(vault)),
            None => Err(Failure::LoginNeeded(name(&self.state()?))),
        }
    }

    fn slots(&self) -> Result<Vec<Slot>, Failure> {
        let state = self.state()?;
        let vault = self.vault().ok();
        let counted = match &vault {
            Some(vault) => format!(", {} signatures", vault.signatures()?),
            None => String::new(),
        };
        Ok(vec![Slot {
            id: SLOT,
            description: format!("local HSM at {}{counted}", self.configuration.folder.display()),
            token_present: true,
            initialized: true,
            label: state.name.to_string(),
            pin: pin_state(&state),
            serial: state.serial,
            manufacturer: MANUFACTURER.to_owned(),
            model: MODEL.to_owned(),
            login: match vault {
                Some(_) => LoginState::LoggedIn,
                None => LoginState::LoggedOut,
            },
            mechanisms: mechanisms(),
        }])
    }

    fn info(&self) -> ModuleInfo {
        ModuleInfo {
            library: self.configuration.folder.clone(),
            manufacturer: MANUFACTURER.to_owned(),
            description: MODEL.to_owned(),
            library_version: env!("CARGO_PKG_VERSION").to_owned(),
            cryptoki_version: "none".to_owned(),
            mechanisms: mechanisms(),
        }
    }

    fn open(&self, at: &KeyReference, expected: &PublicKey) -> Result<Opened, Failure> {
        let token = self.token(&at.token)?;
        let vault = self.vault()?;
        let label = label(at)?;
        let key = vault.key(&label)?;
        if key.public_key() != expected {
            return Err(Failure::new(
                ErrorClass::KeyMissing,
                format!(
                    "its key \"{label}\" is another: its public key is sha256:{}, not sha256:{}",
                    key.public_key().fingerprint(),
                    expected.fingerprint()
                ),
            ));
        }
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let number = keys.iter().position(|known| *known == label).unwrap_or_else(|| {
            keys.push(label);
            keys.len() - 1
        });
        Ok(Opened {
            number: u32::try_from(number).map_err(|e| Failure::new(ErrorClass::Config, e.to_string()))?,
            token,
            mechanism: mechanism(expected.algorithm()),
            input: MechanismInput::Message,
            finished: true,
        })
    }

    fn find(&self, at: &KeyReference) -> Result<Found, Failure> {
        let token = self.token(&at.token)?;
        let vault = self.vault()?;
        let label = label(at)?;
        let key = vault.key(&label)?;
        Ok(Found {
            token,
            label: Some(label.to_string()),
            id: None,
            public_key: Some(key.public_key().clone()),
            key_type: key.public_key().algorithm().to_string(),
            sensitive: Some(true),
            extractable: Some(false),
            always_sensitive: Some(true),
            never_extractable: Some(true),
            local: Some(true),
        })
    }

    fn generate(
        &self,
        token: &TokenSelector,
        label: &str,
        algorithm: Algorithm,
    ) -> Result<Generated, Failure> {
        let token = self.token(token)?;
        let vault = self.vault()?;
        let id: KeyId = label
            .parse()
            .map_err(|e: stella_core::id::BadName| Failure::new(ErrorClass::Config, e.to_string()))?;
        let public_key = vault.generate(&id, algorithm, &mut SystemEntropy)?;
        Ok(Generated { token, public_key })
    }

    /// Tries the PIN, once.
    fn login(&self, login: &Login<'_>) -> Result<LoggedIn, Failure> {
        let mut vault = self.vault.write().unwrap_or_else(PoisonError::into_inner);
        if vault.is_some() {
            return Ok(LoggedIn { before: None });
        }
        let state = self.state()?;
        if name(&state) != login.token {
            return Err(Failure::new(
                ErrorClass::Module,
                format!("the token {} is gone", login.token),
            ));
        }
        let before = pin_state(&state);
        if before.final_try && !login.force {
            return Err(refused("one more wrong PIN locks it, so none is tried", None));
        }
        if login.pin.is_empty() {
            return Err(refused("the module has no PIN configured", None));
        }
        let Configuration { name, folder, .. } = &self.configuration;
        let opened = Vault::open(folder, name, &Pin::new(login.pin.to_vec())).map_err(|e| match e {
            LocalError::PinIncorrect { .. } => refused(&e.to_string(), Some("CKR_PIN_INCORRECT")),
            LocalError::PinLocked { .. } => refused(&e.to_string(), Some("CKR_PIN_LOCKED")),
            other => other.into(),
        })?;
        *vault = Some(Arc::new(opened));
        Ok(LoggedIn { before: Some(before) })
    }

    fn sign(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let unknown = || Failure::new(ErrorClass::Config, "no key was opened under this number");
        let (number, message) = body.split_first_chunk().ok_or_else(unknown)?;
        let number = usize::try_from(u32::from_be_bytes(*number)).map_err(|_| unknown())?;
        let label = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.get(number).cloned().ok_or_else(unknown)?
        };
        Ok(self.vault()?.sign(&label, message)?)
    }

    fn ask(&self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        match serde_json::from_slice(body).map_err(unreadable)? {
            Request::Slots => put(out, &self.slots()?),
            Request::Info => put(out, &self.info()),
            Request::Token(selector) => put(out, &self.token(&selector)?),
            Request::Open { at, expected } => put(out, &self.open(&at, &expected)?),
            Request::Find(at) => put(out, &self.find(&at)?),
            Request::Generate {
                token,
                label,
                algorithm,
                id: _,
            } => put(out, &self.generate(&token, &label, algorithm)?),
        }
    }
}

impl Serve for LocalModule {
    fn threads(&self) -> usize {
        self.configuration.signers
    }

    fn in_batches(&self, kind: Kind) -> bool {
        kind == SIGN
    }

    fn thread(&self) -> Box<dyn Answering + '_> {
        Box::new(Thread(self))
    }

    fn finish(&self) {
        let vault = self.vault.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(e)) = vault.map(|vault| vault.close()) {
            eprintln!("the count of signatures is too high by some: {e}");
        }
    }
}

struct Thread<'m>(&'m LocalModule);

impl Answering for Thread<'_> {
    fn answer(&mut self, kind: Kind, body: &[u8], out: &mut Vec<u8>) -> Kind {
        let done = match kind {
            SIGN => self
                .0
                .sign(body)
                .map(|signature| out.extend_from_slice(&signature)),
            ASK => self.0.ask(body, out),
            LOGIN => Login::decode(body)
                .ok_or_else(|| Failure::new(ErrorClass::Config, "no login"))
                .and_then(|login| put(out, &self.0.login(&login)?)),
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

impl From<LocalError> for Failure {
    fn from(e: LocalError) -> Self {
        match e {
            LocalError::KeyExists(label) => Self::LabelTaken(label.to_string()),
            LocalError::UnsupportedAlgorithm(algorithm) => Self::UnsupportedAlgorithm(algorithm),
            other => Self::new(other.class(), other.to_string()),
        }
    }
}

/// Without a function nothing was tried; with one it is remembered as refused.
fn refused(detail: &str, ckr: Option<&str>) -> Failure {
    Failure::Pkcs11 {
        class: ErrorClass::Auth,
        function: ckr.map(|_| "C_Login".to_owned()),
        ckr: ckr.map(str::to_owned),
        detail: detail.to_owned(),
        restart: false,
    }
}

fn label(at: &KeyReference) -> Result<KeyId, Failure> {
    let label = at.object.as_deref().unwrap_or_default();
    label.parse().map_err(|_| {
        Failure::new(
            ErrorClass::KeyMissing,
            format!("\"{label}\" names no key of a local HSM: write hsm://local/NAME?object=KEY"),
        )
    })
}

fn name(state: &TokenState) -> TokenName {
    TokenName {
        label: state.name.to_string(),
        serial: state.serial.clone(),
    }
}

fn pin_state(state: &TokenState) -> PinState {
    PinState {
        initialized: true,
        count_low: state.wrong > 0,
        final_try: state.wrong + 1 == state.limit,
        locked: state.is_locked(),
        to_be_changed: false,
    }
}

fn mechanisms() -> Vec<Mechanism> {
    Algorithm::all().map(mechanism).collect()
}

fn mechanism(algorithm: Algorithm) -> Mechanism {
    let scheme = algorithm.scheme();
    Mechanism {
        algorithm,
        mechanism: format!("{} ({})", scheme.standard(), scheme.provider()),
        generates: true,
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

const SLOT: u64 = 0;
const MANUFACTURER: &str = "Stella";
const MODEL: &str = "local HSM";
