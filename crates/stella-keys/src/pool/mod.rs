//! Which of several keys signs now, and which key store is left alone for a
//! while. Pure: time and chance are arguments, and nobody is asked here.

mod breaker;
mod order;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Change, Outcome};
pub use order::{Mode, Role, StoreKind, may_serve, order};
