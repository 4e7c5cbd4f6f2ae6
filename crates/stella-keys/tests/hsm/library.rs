//! A library that cannot be loaded: said as it is, and healed by putting the
//! right one in its place.

use std::fs;
use std::path::Path;
use std::time::Duration;

use stella_keys::hsm::Hsm;

use super::bed::{Bed, eventually};

#[test]
fn a_library_that_is_missing_truncated_or_foreign_is_named_with_its_fault() {
    let library = fs::read(Bed::soft().token.module()).expect("library");
    let mut foreign = library.clone();
    // e_machine: AArch64, or x86-64 where that is our own.
    let other = if foreign[18] == 0xb7 { 0x3e } else { 0xb7 };
    foreign[18] = other;
    for (what, content) in [
        ("cannot open shared object file", None),
        ("file too short", Some(&library[..40])),
        ("", Some(&library[..library.len() / 2])),
        ("for another kind of machine", Some(&foreign[..])),
        (
            "invalid ELF header",
            Some(
                &b"this is no library, and long enough to be looked at as one: 0123456789abcdef0123456789"[..],
            ),
        ),
    ] {
        let bed = Bed::soft();
        let path = bed.folder().join("libvendor.so");
        if let Some(content) = content {
            fs::write(&path, content).expect("library");
        }
        let mut options = bed.options();
        options.library.clone_from(&path);
        let hsm = bed.start_with(options);
        let error = hsm.slots().expect_err("no library");
        assert_eq!(error.code(), "hsm.unavailable");
        let text = error.to_string();
        assert!(text.contains("libvendor.so") && text.contains(what), "{text}");
    }
}

#[test]
fn signing_works_again_when_the_library_is_back() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.library = bed.folder().join("libvendor.so");
    options.restart_backoff = Duration::from_millis(10);
    let path = options.library.clone();
    let hsm = bed.start_with(options);
    hsm.slots().expect_err("no library");
    put(bed.token.module(), &path);
    eventually("it is loaded", || hsm.slots().is_ok());
}

#[test]
fn a_library_that_is_none_of_pkcs11_is_refused() {
    let bed = Bed::soft();
    let mut options = bed.options();
    options.library = "libm.so.6".into();
    let error = bed.start_with(options).slots().expect_err("not a module");
    assert_eq!(error.code(), "hsm.unavailable");
    assert!(error.to_string().contains("C_GetFunctionList"), "{error}");
}

/// At once, as a package manager does.
fn put(library: &Path, path: &Path) {
    let beside = path.with_extension("new");
    fs::copy(library, &beside).expect("copy");
    fs::rename(beside, path).expect("rename");
}
