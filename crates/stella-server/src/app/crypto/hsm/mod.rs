//! The PKCS#11 modules of the configuration, the keys on their tokens, and
//! `crypto hsm`, one file a command.

mod error;
mod examine;
mod fault;
mod key;
mod logs;
mod modules;
mod pin;
mod reconnect;
mod status;
mod take;
mod tokens;
mod used;

use std::sync::Arc;

use stella_keys::hsm::{Hsm, HsmError};

use crate::app::error::{Error, Result};

pub use error::{likely_cause, mend};
pub use examine::Examination;
pub(in crate::app) use key::{MadeOnToken, TokenKey, not_made};
pub use modules::{Modules, OpenModule};
pub(crate) use used::UsedKey;

/// Asks a module, off the async threads: it may take as long as its deadline.
pub(crate) async fn ask<T: Send + 'static>(
    module: Arc<dyn Hsm>,
    question: impl FnOnce(&dyn Hsm) -> std::result::Result<T, HsmError> + Send + 'static,
) -> Result<std::result::Result<T, HsmError>> {
    tokio::task::spawn_blocking(move || question(module.as_ref()))
        .await
        .map_err(|e| Error::internal(format!("asking a module broke off: {e}")))
}
