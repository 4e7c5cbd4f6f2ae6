//! Where random bytes come from. They are handed in, so that a test can fix
//! them and only one place asks the operating system.

/// A source of bytes that nobody can predict.
///
/// Contract: on success every byte of `out` was written; on failure none of
/// them may be used. Callers do not retry.
pub trait Entropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source of randomness failed: {0}")]
pub struct EntropyError(pub String);

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(out).map_err(|e| EntropyError(e.to_string()))
    }
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self(out);
        Ok(())
    }
}
