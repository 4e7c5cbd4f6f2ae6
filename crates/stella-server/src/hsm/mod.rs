//! HSM modules as this process runs them: each in a worker of its own, its
//! PINs remembered in the store, its events in the operations log.

mod local;
mod log;
mod pin_file;
mod pins;

use std::sync::Arc;
use std::time::Duration;

use stella_core::time::Clock;
use stella_keys::hsm::{Hsm, HsmEvents, HsmOptions, ModuleName, PinMemory};
use stella_keys::pkcs11::Pkcs11;
use stella_store::Store;
use tokio::runtime::Handle;

use crate::app::Error;
use crate::app::crypto::hsm::OpenModule;
use crate::config::{HsmModule, Settings};
use crate::entropy::Entropy;

pub use local::LocalWorkers;
pub use pins::StoredPins;

#[derive(Clone)]
pub struct Workers {
    pins: Arc<dyn PinMemory>,
    events: Arc<dyn HsmEvents>,
    /// The longest that a module may take for one request.
    longest: Duration,
}

impl Workers {
    pub fn new(
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        settings: &Settings,
        runtime: &Handle,
    ) -> Self {
        let pins = StoredPins::new(
            Arc::clone(store),
            Arc::clone(clock),
            Arc::clone(entropy),
            runtime.clone(),
        );
        Self {
            pins: Arc::new(pins),
            events: Arc::new(log::ModuleLog::start(
                Arc::clone(store),
                Arc::clone(clock),
                runtime,
            )),
            longest: settings.time_of_a_key(),
        }
    }

    fn within_deadline(&self, timeout: Duration) -> Duration {
        timeout.min(self.longest)
    }

    fn start(&self, options: HsmOptions) -> Arc<dyn Hsm> {
        let (pins, events) = (Arc::clone(&self.pins), Arc::clone(&self.events));
        Arc::new(Pkcs11::new(options, pins, events))
    }
}

impl OpenModule for Workers {
    fn options(&self, settings: &HsmModule) -> crate::app::Result<HsmOptions> {
        let name: ModuleName = settings.name.parse().map_err(|e| {
            Error::conflict("hsm.module-name", format!("hsm.modules: {e}"))
                .next("give the module another name in signer.yaml and restart the server")
        })?;
        let mut options = HsmOptions::new(name, settings.library_path.clone());
        if let Some(file) = &settings.pin_file {
            options.pin = Some(pin_file::read(&settings.name, file)?);
        }
        options.env = settings.env.clone();
        options.request_timeout = self.within_deadline(settings.request_timeout);
        options.start_timeout = settings.start_timeout;
        options.unanswered_logins = settings.unanswered_logins;
        options.stop_timeout = settings.stop_timeout;
        options.max_message = settings.max_message;
        options.restart_backoff = settings.restart_backoff;
        options.max_restart_backoff = settings.max_restart_backoff;
        options.mechanisms = settings.mechanisms.clone();
        options.signers = usize::try_from(settings.signers).unwrap_or(usize::MAX);
        options.session_timeout = settings.session.timeout;
        Ok(options)
    }

    fn open(&self, options: HsmOptions) -> Arc<dyn Hsm> {
        self.start(options)
    }
}
