//! The command line: a client of the HTTP API and of nothing else. It parses
//! what was typed, asks, and prints the answer.
#![forbid(unsafe_code)]

pub mod api;
pub mod args;
mod bulk;
pub mod cli;
pub mod client;
pub mod cmd;
pub mod context;
mod demo;
pub mod error;
pub mod exit;
mod offline;
pub mod printer;
pub mod reference;
mod replicas;
mod secret;

use std::ffi::OsString;
use std::process::ExitCode;

/// Both binaries.
pub fn main() -> ExitCode {
    stella_keys::worker::run_if_asked();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    cli::run(&arguments).into()
}
