//! What an organisation trusts, and since when.
//!
//! Every change is an [`event::Event`]; the present state, and the state at
//! any earlier moment, is the fold of the events recorded by then
//! ([`state::TrustState`]). `decide` turns an operator's wish into events or
//! a refusal that names the next command.

pub mod anchor;
pub mod decide;
pub mod event;
pub mod key;
pub mod reason;
mod standby;
pub mod state;

pub use anchor::{AnchorKey, AnchorStatus, TrustAnchor};
pub use event::{Event, EventBody};
pub use key::{Custody, KeyRecord, KeyState, KeyType, OwnKey};
pub use reason::{KeyEnd, RevokeReason};
pub use state::TrustState;
