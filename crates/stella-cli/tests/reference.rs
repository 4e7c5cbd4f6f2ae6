//! The reference says what the code does. `UPDATE=1` writes it anew.

use std::fs;
use std::path::Path;

#[test]
fn the_reference_is_not_stale() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, page) in stella_cli::reference::pages() {
        let path = folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(&folder).expect("the folder");
            fs::write(&path, &page).expect("written");
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == page,
            "docs/reference/{name} is stale: UPDATE=1 cargo test -p stella-cli --test reference"
        );
    }
}
