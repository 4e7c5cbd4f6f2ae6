//! Refused PINs and unanswered tries, kept in the store as slow, salted hashes.

use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::pbkdf2;
use stella_core::digest::Sha256;
use stella_core::time::Clock;
use stella_keys::hsm::{Pin, PinMemory, PinMemoryError};
use stella_store::{RefusedPin, Store};
use tokio::runtime::Handle;

use crate::entropy::Entropy;

/// Called from threads that may block, never from a task.
pub struct StoredPins {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    runtime: Handle,
}

impl StoredPins {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        runtime: Handle,
    ) -> Self {
        Self {
            store,
            clock,
            entropy,
            runtime,
        }
    }
}

impl PinMemory for StoredPins {
    fn begin(&self, token_serial: &str) -> Result<u32, PinMemoryError> {
        self.runtime
            .block_on(self.store.begin_login(token_serial, self.clock.now()))
            .map_err(unknown)
    }

    fn withdraw(&self, token_serial: &str) -> Result<(), PinMemoryError> {
        self.runtime
            .block_on(self.store.withdraw_login(token_serial))
            .map_err(unknown)
    }

    fn unanswered(&self, token_serial: &str) -> Result<u32, PinMemoryError> {
        self.runtime
            .block_on(self.store.unanswered_logins(token_serial))
            .map_err(unknown)
    }

    fn refused(&self, token_serial: &str, pin: &Pin) -> Result<bool, PinMemoryError> {
        let known = self
            .runtime
            .block_on(self.store.refused_pins(token_serial))
            .map_err(unknown)?;
        Ok(known.iter().any(|one| hash(&one.salt, pin) == one.hash))
    }

    fn remember_refused(&self, token_serial: &str, pin: &Pin) -> Result<(), PinMemoryError> {
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt).map_err(unknown)?;
        let refused = RefusedPin {
            token_serial: token_serial.to_owned(),
            salt,
            hash: hash(&salt, pin),
            refused_at: self.clock.now(),
        };
        self.runtime
            .block_on(self.store.remember_refused_pin(refused))
            .map_err(unknown)
    }

    fn forget(&self, token_serial: &str) -> Result<(), PinMemoryError> {
        self.runtime
            .block_on(self.store.forget_refused_pins(token_serial))
            .map(drop)
            .map_err(unknown)
    }
}

/// A PIN has few digits, and one that was refused may be nearly right: whoever
/// copies the store should have to work for each guess.
fn hash(salt: &[u8; 16], pin: &Pin) -> Sha256 {
    let mut out = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        salt,
        pin.expose(),
        &mut out,
    );
    Sha256::from_bytes(out)
}

fn unknown(error: impl std::fmt::Display) -> PinMemoryError {
    PinMemoryError(error.to_string())
}

/// OWASP's figure for PBKDF2 with HMAC-SHA-256: a quarter of a second or so,
/// and only while a refused PIN is held against the token.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(600_000) {
    Some(n) => n,
    None => NonZeroU32::MIN,
};
