//! The corpus, run with the ordinary tests: what a fuzzer once found stays mended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stella_fuzz::{
    TARGETS, backup_seed, configures, merkle_seeds, proof_seed, readers, run, sealed_seeds, seeds,
    signature_seeds, trust_seeds, verifies,
};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn the_corpus_breaks_no_promise() {
    for (target, _) in TARGETS {
        let mut inputs = 0;
        let folder = fuzz().join("corpus").join(target);
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            let data = std::fs::read(&path).expect("an input");
            let done = std::panic::catch_unwind(|| run(target, &data));
            assert!(done.is_ok(), "{target} panics over {}", path.display());
            inputs += 1;
        }
        assert!(inputs > 0, "{target} has no seed");
    }
}

#[test]
fn every_target_is_fuzzed_and_nothing_else() {
    let table: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), table);
    assert_eq!(names(&fuzz().join("corpus")), table);
}

/// A fuzzer that starts from documents that fail learns little about those
/// that pass.
#[test]
fn the_documents_of_the_corpus_pass() {
    are_kept("verify_document", &seeds());
    are_kept("proof", &[proof_seed()]);
    assert!(stella_fuzz::proves(&proof_seed()));
    for (n, seed) in seeds().iter().enumerate() {
        assert!(stella_fuzz::passes(seed), "signed-{n}.json");
    }
}

#[test]
fn the_files_and_messages_of_the_corpus_are_read() {
    for name in ["runbook", "every-section", "two-files"] {
        let file = std::fs::read(fuzz().join(format!("corpus/config/{name}.yaml"))).expect("a seed");
        assert!(configures(&file), "{name}");
    }
    for entry in std::fs::read_dir(fuzz().join("corpus/wire")).expect("seeds") {
        let path = entry.expect("an entry").path();
        let message = std::fs::read(&path).expect("a seed");
        assert!(readers(&message) > 0, "{}", path.display());
    }
}

#[test]
fn the_trust_bundles_of_the_corpus_are_those_of_this_version() {
    are_kept("trust_bundle", &trust_seeds());
}

#[test]
fn the_keys_and_proofs_of_the_corpus_are_those_of_this_version() {
    are_kept("backup", &[backup_seed()]);
    are_kept("sealed_key", sealed_seeds());
    are_kept("merkle", &merkle_seeds());
    let folder = fuzz().join("corpus/signature");
    for (n, seed) in signature_seeds().iter().enumerate() {
        let path = folder.join(format!("signed-{n}"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, seed).expect("written");
        }
        let kept = std::fs::read(&path).expect("a seed");
        assert!(verifies(&kept), "{} is stale: UPDATE=1", path.display());
    }
}

fn are_kept(target: &str, seeds: &[Vec<u8>]) {
    let folder = fuzz().join("corpus").join(target);
    for (n, seed) in seeds.iter().enumerate() {
        let path = folder.join(format!("signed-{n}.json"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, seed).expect("written");
        }
        let kept = std::fs::read(&path).expect("a seed");
        assert!(kept == *seed, "{} is stale: UPDATE=1", path.display());
    }
}
