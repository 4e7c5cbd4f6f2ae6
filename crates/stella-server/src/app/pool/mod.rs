//! Which key signs now: the profile's active key, and while its store is
//! down, those that stand by.

mod choose;
mod probe;
mod stores;

pub(in crate::app) use choose::{Candidate, NoCandidate};
pub use stores::Pool;
