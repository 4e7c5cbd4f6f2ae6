//! PINs, and the memory of those that were refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

/// A PIN. Cleansed when it is dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The content of a PIN file: one line, whose end does not count. `None`
    /// when there is nothing in it.
    pub fn from_file_content(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        let end = bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n'))?;
        Some(Self::new(bytes[..=end].to_vec()))
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// Remembers which PINs a token refused, beyond the life of any process: a
/// service that is restarted for ever would lock the token otherwise. Before a
/// PIN is tried that is noted too, for whoever is killed meanwhile cannot say
/// what came of it.
///
/// Concurrency: from any thread; it blocks. Durability: what `begin` and
/// `remember_refused` were told is known ever after, after a crash too. It
/// keeps a salted hash and never the PIN.
pub trait PinMemory: Send + Sync {
    /// A PIN is about to be tried. Answers how many tries of which nobody
    /// knows the end there were before, since the last whose end is known.
    fn begin(&self, token_serial: &str) -> Result<u32, PinMemoryError>;

    /// The try that was begun did not reach the token. It says nothing about
    /// those before it.
    fn withdraw(&self, token_serial: &str) -> Result<(), PinMemoryError>;

    /// How many tries had no answer.
    fn unanswered(&self, token_serial: &str) -> Result<u32, PinMemoryError>;

    fn refused(&self, token_serial: &str, pin: &Pin) -> Result<bool, PinMemoryError>;

    fn remember_refused(&self, token_serial: &str, pin: &Pin) -> Result<(), PinMemoryError>;

    /// A PIN was accepted: nothing is held against the token's PINs.
    fn forget(&self, token_serial: &str) -> Result<(), PinMemoryError>;
}

/// The memory could not be read or written. No PIN is tried then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("which PINs were refused is not known: {0}")]
pub struct PinMemoryError(pub String);

/// Remembers as long as it lives: for tests and tools that end with it.
#[derive(Default)]
pub struct VolatilePinMemory {
    known: Mutex<Vec<(String, Pin)>>,
    unanswered: Mutex<BTreeMap<String, u32>>,
}

impl VolatilePinMemory {
    fn with<R>(&self, f: impl FnOnce(&mut Vec<(String, Pin)>) -> R) -> R {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tries(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PinMemory for VolatilePinMemory {
    fn begin(&self, token_serial: &str) -> Result<u32, PinMemoryError> {
        let mut tries = self.tries();
        let before = tries.entry(token_serial.to_owned()).or_default();
        *before += 1;
        Ok(*before - 1)
    }

    fn withdraw(&self, token_serial: &str) -> Result<(), PinMemoryError> {
        if let Some(tries) = self.tries().get_mut(token_serial) {
            *tries = tries.saturating_sub(1);
        }
        Ok(())
    }

    fn unanswered(&self, token_serial: &str) -> Result<u32, PinMemoryError> {
        Ok(self.tries().get(token_serial).copied().unwrap_or_default())
    }

    fn refused(&self, token_serial: &str, pin: &Pin) -> Result<bool, PinMemoryError> {
        Ok(self.with(|known| known.iter().any(|(s, p)| s == token_serial && p == pin)))
    }

    fn remember_refused(&self, token_serial: &str, pin: &Pin) -> Result<(), PinMemoryError> {
        self.with(|known| known.push((token_serial.to_owned(), pin.clone())));
        self.tries().remove(token_serial);
        Ok(())
    }

    fn forget(&self, token_serial: &str) -> Result<(), PinMemoryError> {
        self.with(|known| known.retain(|(serial, _)| serial != token_serial));
        self.tries().remove(token_serial);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_file_is_a_line() {
        let pin = |bytes: &[u8]| Pin::from_file_content(bytes.to_vec());
        assert_eq!(pin(b"1234\n"), Some(Pin::new(b"1234".to_vec())));
        assert_eq!(pin(b"12 34\r\n"), Some(Pin::new(b"12 34".to_vec())));
        assert_eq!(pin(b"\n"), None);
        assert_eq!(pin(b""), None);
        assert_eq!(format!("{:?}", Pin::new(b"1234".to_vec())), "Pin(..)");
    }

    #[test]
    fn an_accepted_pin_clears_its_token_and_no_other() {
        let memory = VolatilePinMemory::default();
        let pin = Pin::new(b"1234".to_vec());
        memory.remember_refused("a", &pin).expect("memory");
        memory.remember_refused("b", &pin).expect("memory");
        memory.forget("a").expect("memory");
        assert_eq!(memory.refused("a", &pin), Ok(false));
        assert_eq!(memory.refused("b", &pin), Ok(true));
        assert_eq!(memory.refused("b", &Pin::new(b"12345".to_vec())), Ok(false));
    }
}
