//! Where a system keeps the modules that `./test` installs.

use std::path::{Path, PathBuf};

/// A library of that name in one of the folders in which Debian, Fedora and
/// others keep libraries.
pub fn library(name: &str) -> PathBuf {
    let mut folders = vec![
        PathBuf::from("/usr/lib"),
        "/usr/lib64".into(),
        "/usr/local/lib".into(),
    ];
    let multiarch = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.extend(
        multiarch
            .map(|entry| entry.path())
            .filter(|path| is_multiarch(path)),
    );
    let within = ["", "softhsm", "pkcs11", "nss"];
    folders
        .iter()
        .flat_map(|folder| within.map(|inner| folder.join(inner).join(name)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no {name} on this machine; ./test installs it"))
}

fn is_multiarch(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with("-linux-gnu"))
}
