//! The one place that asks the operating system for randomness.

/// Where ids and secrets come from; tests bring a repeatable one.
pub trait Entropy: Send + Sync {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), NoEntropy>;
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system gave no randomness: {0}")]
pub struct NoEntropy(pub String);

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(buffer).map_err(|e| NoEntropy(e.to_string()))
    }
}

/// The random part of a UUIDv7.
pub fn id_bytes(entropy: &dyn Entropy) -> Result<[u8; 10], NoEntropy> {
    let mut bytes = [0; 10];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
