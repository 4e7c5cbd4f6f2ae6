//! The pure heart of Stella: the formats it reads and writes, the rules of
//! trust, and the engine that turns evidence into a verdict.
//!
//! Nothing here knows a clock, a file, a socket or a source of randomness:
//! the moment "now" and every random byte come in as arguments. That is what
//! lets one verdict be computed again, years later, to the same answer.
#![forbid(unsafe_code)]

pub mod digest;
pub mod id;
pub mod purl;
pub mod time;
