//! One target a parser, and the verifier as a whole. Each takes any bytes and
//! panics when a promise is broken; `fuzz/` hands them to libFuzzer, and
//! `tests/replay.rs` runs them over the corpus with the ordinary tests.
#![allow(clippy::unwrap_used, reason = "a broken promise is to panic here")]

#[allow(dead_code, reason = "the server that owns it uses the rest")]
#[path = "../../stella-server/src/backup/age/mod.rs"]
mod age;
mod backup;
#[allow(dead_code, unused_imports, reason = "the server that owns it uses the rest")]
#[path = "../../stella-server/src/config/mod.rs"]
mod config;
#[allow(dead_code, reason = "the server that owns it uses the rest")]
#[path = "../../stella-server/src/entropy.rs"]
mod entropy;
mod keys;
mod merkle;
#[allow(dead_code, reason = "the tests that own it use the rest")]
#[path = "../../stella-core/tests/temporal/model.rs"]
mod model;
#[path = "../../stella-core/tests/support/offline.rs"]
mod offline;
mod settings;
#[path = "../../stella-core/tests/support/mod.rs"]
mod support;
mod targets;
mod trust;
mod wire;
#[path = "../../stella-core/tests/temporal/world.rs"]
mod world;

type Target = (&'static str, fn(&[u8]));

/// To add one: a function, a line here, a file in `fuzz/fuzz_targets/`, a
/// folder with a few seeds in `fuzz/corpus/`.
pub static TARGETS: &[Target] = &[
    ("backup", backup::age),
    ("bundle", targets::bundle),
    ("canonical", targets::canonical),
    ("config", settings::config),
    ("digest", targets::digest),
    ("envelope", targets::envelope),
    ("event", targets::event),
    ("merkle", merkle::merkle),
    ("pattern", targets::pattern),
    ("private_key", targets::private_key),
    ("proof", targets::proof),
    ("public_key", targets::public_key),
    ("purl", targets::purl),
    ("sealed_key", keys::sealed_key),
    ("signature", keys::signature),
    ("statement", targets::statement),
    ("time", targets::time),
    ("trust_bundle", trust::bundle),
    ("verifier", targets::verifier),
    ("verify_document", targets::verify_document),
    ("wire", wire::wire),
];

pub use backup::seed as backup_seed;
pub use keys::{sealed_seeds, signature_seeds, verifies};
pub use merkle::seeds as merkle_seeds;
pub use settings::configures;
pub use targets::{passes, proof_seed, proves, seeds};
pub use trust::seeds as trust_seeds;
pub use wire::readers;

/// # Panics
/// Where a promise is broken, or there is no such target.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = found.unwrap_or_else(|| panic!("no target {target}"));
    run(data);
}
