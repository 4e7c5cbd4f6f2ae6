//! The local HSM, `hsm://local/NAME`: a process of its own that alone holds
//! its private keys, signs on request, and never gives one away.
//!
//! It is for algorithms that hardware at hand does not have, and no hardware:
//! whoever is root on the machine can read its memory, and whoever has its
//! files can guess its PIN, as slowly as Argon2id makes it. What it adds to a
//! software key is that no other process has the key, that the PIN locks, and
//! that every signature is counted.
//!
//! It is used as a module is: [`HsmOptions::local`](crate::hsm::HsmOptions::local)
//! given to [`Pkcs11`](crate::pkcs11::Pkcs11).

mod error;
mod folder;
pub(crate) mod module;
mod reference;
mod tally;
mod token;
mod vault;

pub use error::LocalError;
pub use module::Configuration;
pub use reference::{BadLocalReference, LocalReference};
pub use token::{PinPolicy, RecoveryCode};
pub use vault::{TokenState, Vault, initialize, recover, state};
