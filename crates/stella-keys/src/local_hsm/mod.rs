//! The local HSM, `hsm://local/NAME`: a process of its own that alone holds
//! its private keys, signs on request, and never gives one away.
//!
//! It is for algorithms that hardware at hand does not have, and no hardware:
//! whoever is root on the machine can read its memory, and whoever has its
//! files can guess its PIN, as slowly as Argon2id makes it. What it adds to a
//! software key is that no other process has the key, that the PIN locks, and
//! that every signature is counted.

mod error;
mod folder;
mod tally;
mod token;
mod vault;

pub use error::LocalError;
pub use token::{PinPolicy, RecoveryCode};
pub use vault::{TokenState, Vault, initialize, recover, state};
