//! `crypto hsm reconnect`, `crypto hsm pkcs11-reload`: a new worker with the
//! library, PIN file and settings as they are now.

use std::sync::Arc;
use std::time::Instant;

use stella_core::api::hsm::HsmReport;
use stella_keys::hsm::HsmOptions;

use super::{Examination, ask};
use crate::app::error::Result;
use crate::app::{App, Caller};
use crate::config::HsmModule;

impl App {
    /// The old worker serves until the new one has proved itself with the keys
    /// in use, and stays where it does not.
    pub async fn hsm_reconnect(&self, caller: &Caller, module: Option<&str>) -> Result<HsmReport> {
        let trust = self.trust_head().await?;
        let mut modules = Vec::new();
        for settings in self.chosen_modules(module)? {
            let options = self.modules.options(&self.as_set(&trust, settings))?;
            self.reload_module(settings, options).await?;
            tracing::info!(actor = %caller.identity, module = settings.name, "reconnected");
            let keys = self.keys_in(&trust, settings);
            let examined = self.examine_module(settings, Examination::Test, keys).await?;
            if examined.ok {
                self.signers.pool.close_module(&settings.name, Instant::now());
                self.signers.recovered.notify_one();
            }
            modules.push(examined);
        }
        Ok(HsmReport {
            ok: modules.iter().all(|module| module.ok),
            modules,
        })
    }

    pub(super) async fn reload_module(&self, settings: &HsmModule, options: HsmOptions) -> Result<()> {
        let module = self.module(settings)?;
        Ok(ask(Arc::clone(&module), move |module| module.reload(options)).await??)
    }
}
