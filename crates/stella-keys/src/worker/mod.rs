//! A process of its own for code that must not run in ours: a vendor's
//! library that may crash or never return, and keys that nobody may read.
//!
//! The worker is this same program, started again; it learns what it is from
//! the first frame on its socket, so that no secret is in its arguments or
//! environment. The parent asks through a [`Link`], with a deadline on each
//! request, and kills the worker when one passes: nothing else helps against
//! a library that hangs.
//!
//! Parent: [`Process`] (one process), [`Link`] (asking it), [`Supervisor`]
//! (the one that is in use, replaced when it fails). Worker: [`child`].

mod attendant;
pub mod backoff;
pub mod child;
mod frame;
mod instance;
mod link;
mod process;
mod supervisor;
mod turns;

use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{local_hsm, pkcs11};

pub use frame::Kind;
pub use instance::{Make, Timing, Worker};
pub use link::{Answer, Done, Link, NoAnswer, Outcome};
pub use process::{Launch, Process, Watch};
pub use supervisor::Supervisor;

/// The first frame, and the kinds of answer. Roles number their requests from
/// [`FIRST_OF_ROLE`].
pub const CONFIGURE: Kind = Kind::secret(0);
pub const DONE: Kind = Kind::new(1);
pub const FAILED: Kind = Kind::new(2);
pub const FIRST_OF_ROLE: u8 = 16;

/// Becomes a worker when this process was started as one, and does not return
/// then. Called first thing in `main`, before any thread or runtime is there.
pub fn run_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == MARK) {
        let code = child::run(configure);
        std::process::exit(i32::from(code != ExitCode::SUCCESS));
    }
}

/// What a worker is told to be: the content of the first frame.
#[derive(Serialize, Deserialize)]
pub enum Role {
    Pkcs11(pkcs11::Configuration),
    Local(local_hsm::Configuration),
}

impl Role {
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Of these types it cannot fail, and an empty frame is refused.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn configure(body: &[u8]) -> child::Configured {
    match serde_json::from_slice(body) {
        Ok(Role::Pkcs11(configuration)) => pkcs11::module::Module::start(configuration),
        Ok(Role::Local(configuration)) => local_hsm::module::LocalModule::start(configuration),
        Err(_) => Err(Vec::new()),
    }
}

/// No command of the product begins like this.
const MARK: &str = "__worker";
