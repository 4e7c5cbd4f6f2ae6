//! What signs with which algorithm, and the modules in which keys are held.

pub mod hsm;
mod providers;
