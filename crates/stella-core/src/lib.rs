//! The pure heart of Stella: the formats it reads and writes, the rules of
//! trust, and the engine that turns evidence into a verdict.
//!
//! Nothing here knows a clock, a file, a socket or a source of randomness:
//! the moment "now" and every random byte come in as arguments. That is what
//! lets one verdict be computed again, years later, to the same answer.
#![forbid(unsafe_code)]

pub mod alg;
pub mod api;
pub mod bundle;
pub mod canonical;
pub mod command;
pub mod digest;
pub mod dsse;
pub mod evidence;
pub mod id;
pub mod json;
pub mod log;
pub mod predicate;
pub mod purl;
pub mod statement;
pub mod time;
pub mod trust;
pub mod verify;

#[cfg(test)]
mod vectors;
