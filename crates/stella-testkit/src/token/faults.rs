//! A module in front of a token that fails as it is told.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Token;

/// The rules are those of `stella-pkcs11-faults`.
#[derive(Debug)]
pub struct Faults {
    control: PathBuf,
    generation: AtomicU64,
}

impl Faults {
    /// The module that is put in front of others.
    pub fn module() -> PathBuf {
        let exe = std::env::current_exe().expect("the path of this program");
        // Tests run in target/*/deps, where cargo leaves the libraries that it
        // builds on the way; other programs one folder above.
        let folders = [exe.parent(), exe.parent().and_then(Path::parent)];
        let mut places = folders.into_iter().flatten().flat_map(|folder| {
            [folder.to_owned(), folder.join("deps")]
                .map(|folder| folder.join(stella_pkcs11_faults::FILE_NAME))
        });
        let module = places.find(|path| path.is_file());
        module.unwrap_or_else(|| panic!("no {} beside {}", stella_pkcs11_faults::FILE_NAME, exe.display()))
    }

    /// Puts the module in front of the token's own. No rules yet.
    pub fn before(token: &mut Token) -> Self {
        let control = token.folder().join("faults");
        let target = token.module.display().to_string();
        token.environment.push(("FAULTY_TARGET".to_owned(), target));
        token
            .environment
            .push(("FAULTY_CONTROL".to_owned(), control.display().to_string()));
        token.module = Self::module();
        let faults = Self {
            control,
            generation: AtomicU64::new(0),
        };
        faults.clear();
        faults
    }

    /// These rules from the next call on, one a line; none that were before.
    pub fn set(&self, rules: &str) {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let new = self.control.with_extension("new");
        std::fs::write(&new, format!("# {generation}\n{rules}\n")).expect("the rules");
        std::fs::rename(&new, &self.control).expect("the rules take their place");
    }

    pub fn clear(&self) {
        self.set("");
    }

    /// How often the rule on this line (from 0) was asked for, by whatever
    /// process: those with a number of times, and those that say `count`.
    pub fn used(&self, line: usize) -> u64 {
        let generation = self.generation.load(Ordering::SeqCst);
        let count = self.control.with_extension(format!("{generation}.{}", line + 1));
        std::fs::metadata(count).map_or(0, |file| file.len())
    }
}
