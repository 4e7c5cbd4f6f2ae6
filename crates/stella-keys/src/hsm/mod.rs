//! Keys in a hardware security module, as the rest of the product sees them:
//! which key, what it answers, why it failed. Nothing here knows PKCS#11 or
//! loads a vendor's code; that happens in a process of its own.

mod error;
mod event;
mod options;
mod pin;
mod reference;
mod report;

use std::sync::Arc;

use stella_core::alg::{Algorithm, PublicKey};
use stella_core::dsse;

use crate::entropy::{Entropy, EntropyError};
use crate::{GenerateError, Sign, SignError};

pub use error::{ErrorClass, HsmError};
pub use event::{HsmEvent, HsmEvents, Severity, Silent};
pub use options::{HsmOptions, MechanismInput, ModuleKind, VendorMechanism};
pub use pin::{Pin, PinMemory, PinMemoryError, VolatilePinMemory};
pub use reference::{BadReference, KeyReference, ModuleName, TokenSelector};
pub use report::{
    FoundKey, HsmStatus, LoginState, Mechanism, ModuleInfo, PinReport, PinState, Probe, ProbedKey, Slot,
    WorkerState,
};

/// One module: a vendor's library with its configuration, in a process of its
/// own that is killed when it does not answer.
///
/// Concurrency: every method may be called from any thread at any time. All
/// but `name`, `status` and `description` block, for at most the request
/// timeout of the module and a little; callers on an async runtime move them
/// off their threads.
///
/// Retries: a lost session is mended inside, with one more try. A module that
/// failed is restarted by itself, with backoff. A PIN that was refused is
/// never tried again by itself. Everything else is reported once, and
/// repeating or failing over is the caller's part, by [`HsmError::class`] or
/// [`SignError::retry`].
pub trait Hsm: Send + Sync {
    fn name(&self) -> &ModuleName;

    /// Finds the key, and proves that it is the expected one by a signature
    /// or its public half. What is returned stays good across restarts of the
    /// worker, and finds the key again by itself.
    fn key(&self, at: &KeyReference, expected: &PublicKey) -> Result<Arc<dyn Sign>, SignError>;

    /// What the token says about a key that somebody else made there.
    fn find(&self, at: &KeyReference) -> Result<FoundKey, HsmError>;

    /// Makes a key that cannot leave the token, under this label, which no
    /// other key on it may have. The reference returned names the token by
    /// label and serial, whatever the selector was.
    fn generate(
        &self,
        token: &TokenSelector,
        label: &str,
        algorithm: Algorithm,
    ) -> Result<(KeyReference, PublicKey), GenerateError>;

    fn slots(&self) -> Result<Vec<Slot>, HsmError>;

    fn info(&self) -> Result<ModuleInfo, HsmError>;

    /// Whether it would sign now: slots, session, login, and with a key given
    /// a probe that is found, signed and verified.
    fn check(&self, key: Option<(&KeyReference, &PublicKey)>) -> Result<Probe, HsmError>;

    /// Tries the configured PIN on the token. `force` tries one that was
    /// refused before, and one that may be the last before the token locks.
    fn verify_pin(&self, token: &TokenSelector, force: bool) -> Result<PinReport, HsmError>;

    /// Starts a new worker with these options, probes it, sends it all new
    /// requests, lets the old one finish, and stops it. When the new one
    /// fails, the old one stays.
    fn reload(&self, options: HsmOptions) -> Result<(), HsmError>;

    /// What is known without asking the module.
    fn status(&self) -> HsmStatus;
}

/// What is signed to see whether a key signs: a nonce under a payload type of
/// its own, which no verifier takes for anything else.
pub fn probe_message(entropy: &mut dyn Entropy) -> Result<Vec<u8>, EntropyError> {
    let mut nonce = [0; 32];
    entropy.fill(&mut nonce)?;
    Ok(dsse::pae(PROBE_PAYLOAD_TYPE, &nonce))
}

pub const PROBE_PAYLOAD_TYPE: &str = "application/vnd.stella.probe.v1";
