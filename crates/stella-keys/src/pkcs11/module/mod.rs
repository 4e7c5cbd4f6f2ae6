//! The part that runs inside the worker: the only one that loads and calls a
//! vendor's library.

mod find;
mod generate;
mod login;
mod mechanism;
mod public_key;
mod rv;
mod session;
mod signer;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::Session;

use super::message::{Configuration, Failure, SIGN, Token, TokenName};
use crate::hsm::{ErrorClass, KeyReference, ModuleInfo};
use crate::worker::Kind;
use crate::worker::child::{Answering, Configured, Serve};
use login::Refusal;
use mechanism::Way;

/// A library, initialised once and for the life of the worker.
pub struct Module {
    /// `None` only once it is finished.
    pkcs11: RwLock<Option<Pkcs11>>,
    configuration: Configuration,
    /// One session that keeps the login of its token. When the
    /// last session with a token is closed, the token logs us out.
    anchors: Mutex<BTreeMap<TokenName, Session>>,
    /// What came of the last PIN that a token refused, by whose request ever:
    /// the parent may have given it up before. One login at a time holds it.
    refusals: Mutex<BTreeMap<TokenName, Refusal>>,
    /// By the numbers that the parent knows.
    keys: RwLock<Vec<Arc<Key>>>,
}

/// A key that was found, and how to find it again.
pub(super) struct Key {
    reference: KeyReference,
    token: Token,
    way: Way,
}

impl Module {
    /// From the first frame's content.
    pub fn start(configuration: Configuration) -> Configured {
        match Self::initialize(configuration) {
            Ok(module) => Ok((Box::new(module), Vec::new())),
            Err(failure) => Err(serde_json::to_vec(&failure).unwrap_or_default()),
        }
    }

    fn initialize(configuration: Configuration) -> Result<Self, Failure> {
        let path = configuration.library.display();
        let pkcs11 = Pkcs11::new(&configuration.library).map_err(|e| match Failure::from(e) {
            Failure::Pkcs11 { class, detail, .. } => {
                // What the loader says of a file that it passes over.
                let passed_over = detail.contains("No such file") && configuration.library.is_file();
                let hint = if passed_over { PASSED_OVER } else { "" };
                Failure::new(class, format!("{path}: {detail}{hint}"))
            }
            other => other,
        })?;
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let module = Self {
            pkcs11: RwLock::new(Some(pkcs11)),
            configuration,
            anchors: Mutex::default(),
            refusals: Mutex::default(),
            keys: RwLock::default(),
        };
        module.occupied_slots()?;
        Ok(module)
    }

    fn pkcs11(&self) -> Result<Pkcs11, Failure> {
        let pkcs11 = self.pkcs11.read().unwrap_or_else(PoisonError::into_inner);
        let gone = || Failure::new(ErrorClass::Module, "the library is being let go");
        pkcs11.clone().ok_or_else(gone)
    }

    fn info(&self) -> Result<ModuleInfo, Failure> {
        let info = self.pkcs11()?.get_library_info()?;
        let mut mechanisms = Vec::new();
        for slot in self.occupied_slots()? {
            for way in self.ways(slot)? {
                let mechanism = way.describe();
                if !mechanisms.contains(&mechanism) {
                    mechanisms.push(mechanism);
                }
            }
        }
        Ok(ModuleInfo {
            library: self.configuration.library.clone(),
            manufacturer: info.manufacturer_id().trim_end().to_owned(),
            description: info.library_description().trim_end().to_owned(),
            library_version: info.library_version().to_string(),
            cryptoki_version: info.cryptoki_version().to_string(),
            mechanisms,
        })
    }
}

impl Serve for Module {
    fn threads(&self) -> usize {
        self.configuration.signers
    }

    fn in_batches(&self, kind: Kind) -> bool {
        kind == SIGN
    }

    fn thread(&self) -> Box<dyn Answering + '_> {
        Box::new(signer::Signer::new(self))
    }

    fn finish(&self) {
        // Sessions first: their handles mean something else after the end.
        self.anchors().clear();
        let pkcs11 = self.pkcs11.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pkcs11) = pkcs11 {
            let _ = pkcs11.finalize();
        }
    }
}

const PASSED_OVER: &str = "; the file is there: it is for another kind of machine, or a library that it needs is not \
                           there (ldd names it)";
