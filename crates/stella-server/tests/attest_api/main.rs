//! Stories of attesting and verifying, from the first key to a thief's work.

mod answer;
mod edge;
mod failover;
mod gate;
mod proof;
mod recording;
mod rescan;
#[path = "../support/mod.rs"]
mod support;
mod trust;

use stella_server::app::attest::CreateOptions;

const PAD: &str = "pkg:npm/left-pad@1.3.0";

fn keyed(key: &str) -> CreateOptions {
    CreateOptions {
        idempotency_key: Some(key.to_owned()),
        ..CreateOptions::default()
    }
}
