//! Local HSMs: processes of our own that alone hold their keys.

mod key;
mod look_after;
mod running;

pub use running::{Locals, RunLocalHsm};
