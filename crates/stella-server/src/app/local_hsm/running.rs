//! Those that run. One that nobody asked for does not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stella_keys::hsm::Hsm;
use stella_keys::local_hsm::{RecoveryCode, TokenState};

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::config::LocalHsm;

/// What has to do with files and processes. All of it may block.
pub trait RunLocalHsm: Send + Sync {
    fn folder(&self, settings: &LocalHsm) -> PathBuf;

    /// With the PIN as its file holds it now.
    fn open(&self, settings: &LocalHsm) -> Result<Arc<dyn Hsm>>;

    fn initialize(&self, settings: &LocalHsm) -> Result<RecoveryCode>;

    fn state(&self, settings: &LocalHsm) -> Result<TokenState>;

    /// Sets the PIN of its file.
    fn recover(&self, settings: &LocalHsm, code: &str) -> Result<()>;
}

#[derive(Default)]
pub struct Locals {
    runner: Option<Arc<dyn RunLocalHsm>>,
    open: Mutex<BTreeMap<String, Arc<dyn Hsm>>>,
}

impl Locals {
    pub fn run_by(runner: Arc<dyn RunLocalHsm>) -> Self {
        Self {
            runner: Some(runner),
            open: Mutex::default(),
        }
    }

    /// The next key needs a new process, which reads the PIN again.
    pub fn forget(&self) {
        self.opened().clear();
    }

    fn opened(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn Hsm>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn runner(&self) -> Result<Arc<dyn RunLocalHsm>> {
        self.runner.clone().ok_or_else(|| {
            Error::unavailable("local-hsm.not-in-this-build", "this build runs no local HSM")
                .next("stella crypto providers list")
        })
    }
}

impl App {
    pub(super) fn local_settings(&self, name: &str) -> Result<&LocalHsm> {
        let all = &self.settings.hsm.local;
        all.iter().find(|local| local.name == name).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            let known: Vec<_> = all.iter().map(|local| local.name.as_str()).collect();
            let known = match known.as_slice() {
                [] => String::new(),
                names => format!("; there is {}", names.join(", ")),
            };
            Error::not_found(
                "local-hsm.unknown",
                format!("no local HSM named {shown} is configured{known}"),
            )
            .next(format!(
                "add hsm.local.{shown}.pinFile to signer.yaml and restart the server"
            ))
        })
    }

    /// The running process, or a new one, which starts when it is asked.
    pub(super) fn local_hsm_of(&self, name: &str) -> Result<Arc<dyn Hsm>> {
        let settings = self.local_settings(name)?;
        let locals = &self.signers.local;
        let runner = locals.runner()?;
        let mut open = locals.opened();
        if let Some(hsm) = open.get(name) {
            return Ok(Arc::clone(hsm));
        }
        // Said here and at once, rather than by a process that gives up.
        runner.state(settings)?;
        let hsm = runner.open(settings)?;
        open.insert(name.to_owned(), Arc::clone(&hsm));
        Ok(hsm)
    }
}
