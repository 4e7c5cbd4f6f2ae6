//! How workers for PKCS#11 are started.

use zeroize::Zeroizing;

use super::message::{Configuration, Failure};
use crate::hsm::{ErrorClass, HsmError, HsmOptions, ModuleKind, ModuleName};
use crate::local_hsm;
use crate::worker::{Launch, Make, Role, Timing};

pub(super) struct Starting(pub HsmOptions);

impl Make for Starting {
    fn name(&self) -> &ModuleName {
        &self.0.name
    }

    fn launch(&self) -> Launch {
        Launch {
            program: self.0.program.clone(),
            title: self.0.name.to_string(),
            env: self.0.env.clone(),
        }
    }

    fn configuration(&self) -> Zeroizing<Vec<u8>> {
        match self.0.kind {
            ModuleKind::Pkcs11 => Role::Pkcs11(Configuration::from(&self.0)),
            ModuleKind::Local => Role::Local(local_hsm::Configuration::from(&self.0)),
        }
        .encode()
    }

    fn timing(&self) -> Timing {
        timing(&self.0)
    }

    fn start_function(&self) -> &'static str {
        "C_Initialize"
    }

    fn start_task(&self) -> String {
        format!("load {}", self.0.library.display())
    }

    fn refusal(&self, body: &[u8]) -> HsmError {
        let module = self.0.name.as_str();
        match serde_json::from_slice::<Failure>(body) {
            Ok(failure) => failure.into_error(module).of(self.0.kind),
            Err(_) => HsmError::new(
                ErrorClass::Module,
                module,
                "its worker is of another build, or not one at all",
            ),
        }
    }
}

pub(super) fn timing(options: &HsmOptions) -> Timing {
    Timing {
        start: options.start_timeout,
        request: options.request_timeout,
        stop: options.stop_timeout,
        first_backoff: options.restart_backoff,
        max_backoff: options.max_restart_backoff,
    }
}
