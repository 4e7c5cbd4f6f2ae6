//! Verifiable logs: the mathematics, without any storage.

pub mod merkle;
