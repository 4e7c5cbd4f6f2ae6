//! Local HSMs: their files in the home, a worker for each.

use std::path::PathBuf;
use std::sync::Arc;

use stella_keys::entropy::SystemEntropy;
use stella_keys::hsm::{Hsm, HsmOptions, ModuleName};
use stella_keys::local_hsm::{self, LocalError, PinPolicy, RecoveryCode, TokenState};

use super::{Workers, pin_file};
use crate::app::local_hsm::RunLocalHsm;
use crate::app::{Error, Result};
use crate::config::LocalHsm;

/// Beside the modules, with the same memory and log.
pub struct LocalWorkers {
    pub workers: Workers,
    /// Where those are that name no folder.
    pub folder: PathBuf,
}

impl RunLocalHsm for LocalWorkers {
    fn folder(&self, settings: &LocalHsm) -> PathBuf {
        match &settings.folder {
            Some(folder) => folder.clone(),
            None => self.folder.join(&settings.name),
        }
    }

    fn open(&self, settings: &LocalHsm) -> Result<Arc<dyn Hsm>> {
        let mut options = HsmOptions::local(name(settings)?, self.folder(settings));
        options.pin = Some(pin_file::read(&settings.name, &settings.pin_file)?);
        options.request_timeout = self.workers.within_deadline(settings.request_timeout);
        options.signers = usize::try_from(settings.signers).unwrap_or(usize::MAX);
        Ok(self.workers.start(options))
    }

    fn initialize(&self, settings: &LocalHsm) -> Result<RecoveryCode> {
        let pin = pin_file::read(&settings.name, &settings.pin_file)?;
        let folder = self.folder(settings);
        if settings.folder.is_none() {
            std::fs::create_dir_all(&self.folder)
                .map_err(|e| Error::unavailable("local-hsm.io", format!("{}: {e}", self.folder.display())))?;
        }
        local_hsm::initialize(
            &folder,
            &name(settings)?,
            &pin,
            PinPolicy::default(),
            &mut SystemEntropy,
        )
        .map_err(|e| refused(settings, &e))
    }

    fn state(&self, settings: &LocalHsm) -> Result<TokenState> {
        local_hsm::state(&self.folder(settings)).map_err(|e| refused(settings, &e))
    }

    fn recover(&self, settings: &LocalHsm, code: &str) -> Result<()> {
        let pin = pin_file::read(&settings.name, &settings.pin_file)?;
        local_hsm::recover(&self.folder(settings), code, &pin, &mut SystemEntropy)
            .map_err(|e| refused(settings, &e))
    }
}

fn name(settings: &LocalHsm) -> Result<ModuleName> {
    settings
        .name
        .parse()
        .map_err(|e| Error::conflict("local-hsm.name", format!("hsm.local: {e}")))
}

fn refused(settings: &LocalHsm, error: &LocalError) -> Error {
    let name = &settings.name;
    let text = format!("local HSM {name}: {error}");
    match error {
        LocalError::Missing(_) => {
            Error::unavailable("local-hsm.missing", text).next(format!("stella crypto local-hsm init {name}"))
        }
        LocalError::Exists(_) => {
            Error::conflict("local-hsm.exists", text).next(format!("stella crypto local-hsm status {name}"))
        }
        LocalError::PinLength { .. } => Error::conflict("local-hsm.pin", text).next(format!(
            "write another PIN into the file that hsm.local.{name}.pinFile names"
        )),
        LocalError::RecoveryRefused => Error::denied("local-hsm.recovery-refused", text)
            .next("give the recovery code that crypto local-hsm init printed"),
        LocalError::Unsafe(_) => Error::unavailable("local-hsm.unsafe", text),
        LocalError::Damaged { .. } => Error::unavailable("local-hsm.damaged", text),
        _ => Error::unavailable("local-hsm.failed", text)
            .next(format!("stella crypto local-hsm status {name}")),
    }
}
