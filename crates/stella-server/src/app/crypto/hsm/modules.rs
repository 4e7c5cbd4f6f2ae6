//! The modules of the configuration, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use stella_keys::hsm::{Hsm, HsmOptions};

use crate::app::App;
use crate::app::error::{Error, Result};
use crate::config::HsmModule;

/// Makes modules run. Nothing is started before it is needed.
pub trait OpenModule: Send + Sync {
    /// As the configuration says, with the PIN as its file holds it now.
    fn options(&self, settings: &HsmModule) -> Result<HsmOptions>;

    fn open(&self, options: HsmOptions) -> Arc<dyn Hsm>;
}

/// Those that are open. One that nobody asked for is not.
#[derive(Default)]
pub struct Modules {
    opener: Option<Box<dyn OpenModule>>,
    open: RwLock<BTreeMap<String, Arc<dyn Hsm>>>,
}

impl Modules {
    pub fn opened_by(opener: Box<dyn OpenModule>) -> Self {
        Self {
            opener: Some(opener),
            open: RwLock::default(),
        }
    }

    /// From now on this is the module of that name.
    pub fn keep(&self, name: &str, module: Arc<dyn Hsm>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(name.to_owned(), module);
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Hsm>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(name).map(Arc::clone)
    }

    /// As it is to be run now.
    pub fn options(&self, settings: &HsmModule) -> Result<HsmOptions> {
        match &self.opener {
            Some(opener) => opener.options(settings),
            None => Err(not_in_this_build(settings)),
        }
    }

    /// Another instance, beside the one that is in use.
    pub(crate) fn another(&self, settings: &HsmModule, options: HsmOptions) -> Result<Arc<dyn Hsm>> {
        match &self.opener {
            Some(opener) => Ok(opener.open(options)),
            None => Err(not_in_this_build(settings)),
        }
    }

    fn get_or_open(&self, settings: &HsmModule) -> Result<Arc<dyn Hsm>> {
        if let Some(module) = self.get(&settings.name) {
            return Ok(module);
        }
        let opener = self.opener.as_ref().ok_or_else(|| not_in_this_build(settings))?;
        let options = opener.options(settings)?;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let module = open
            .entry(settings.name.clone())
            .or_insert_with(|| opener.open(options));
        Ok(Arc::clone(module))
    }
}

fn not_in_this_build(settings: &HsmModule) -> Error {
    Error::unavailable(
        "hsm.not-in-this-build",
        format!("this build does not run the module {}", settings.name),
    )
    .next("stella crypto providers list")
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
        let trust = self.trust.last_known();
        self.modules.get_or_open(&self.as_set(&trust, settings))
    }
}
