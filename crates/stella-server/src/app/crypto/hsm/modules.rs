//! The modules of the configuration, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use stella_keys::hsm::Hsm;

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::config::HsmModule;

/// Those that are open.
#[derive(Default)]
pub struct Modules(RwLock<BTreeMap<String, Arc<dyn Hsm>>>);

impl Modules {
    /// From now on this is the module of that name.
    pub fn keep(&self, name: &str, module: Arc<dyn Hsm>) {
        let mut open = self.0.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(name.to_owned(), module);
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Hsm>> {
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        open.get(name).map(Arc::clone)
    }
}

impl App {
    /// The configuration of a module; without a name the first.
    pub(crate) fn module_settings(&self, name: Option<&str>) -> Result<&HsmModule> {
        let modules = &self.settings.hsm.modules;
        let found = match name {
            Some(name) => modules.iter().find(|module| module.name == name),
            None => modules.first(),
        };
        found.ok_or_else(|| match (name, modules.as_slice()) {
            (_, []) => Error::not_found("hsm.none", "no HSM is configured")
                .next("add hsm.modules.NAME with its libraryPath and pinFile to signer.yaml and restart"),
            (name, all) => {
                let names: Vec<_> = all.iter().map(|module| module.name.as_str()).collect();
                let shown: String = name.unwrap_or_default().chars().take(64).collect();
                Error::not_found(
                    "hsm.unknown-module",
                    format!("no module named {shown}: there is {}", names.join(", ")),
                )
                .next("stella crypto hsm status")
            }
        })
    }

    /// The module itself.
    pub(crate) fn module(&self, settings: &HsmModule) -> Result<Arc<dyn Hsm>> {
        self.modules.get(&settings.name).ok_or_else(|| {
            Error::unavailable(
                "hsm.not-in-this-build",
                format!("this build does not run the module {} yet", settings.name),
            )
            .next("stella crypto providers list")
        })
    }
}
