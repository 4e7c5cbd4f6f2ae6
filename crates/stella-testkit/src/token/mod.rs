//! Hardware tokens for tests, without the hardware: what a PKCS#11 module, its
//! token and the way to it look like to a signer.
//!
//! Nothing here touches the environment of the process that asks. Whatever
//! loads the module gets [`Token::environment`].

mod faults;
mod installed;
mod kryoptic;
mod link;
mod nss;
mod soft_hsm;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use faults::Faults;
pub use link::Link;

/// A token in a folder of its own, with the module that reads it.
#[derive(Debug)]
pub struct Token {
    folder: tempfile::TempDir,
    module: PathBuf,
    environment: Vec<(String, String)>,
    label: String,
    pin: String,
    so_pin: String,
}

/// What a module says about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub id: u64,
    pub label: String,
    pub serial: String,
}

/// The kinds of key that these tokens have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    EcdsaP256,
    Ed25519,
}

impl Token {
    /// The module's file.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// What the module reads from the environment of its process.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// A folder that goes away with the token.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    pub fn pin(&self) -> &str {
        &self.pin
    }

    pub fn so_pin(&self) -> &str {
        &self.so_pin
    }

    /// The token's slot and serial number as its module shows them now; ids
    /// may change whenever the module is loaded.
    pub fn slot(&self) -> Slot {
        let slots = self.slots();
        let own = slots.iter().find(|slot| slot.label == self.label);
        own.unwrap_or_else(|| panic!("no token {} among {slots:?}", self.label))
            .clone()
    }

    /// The initialised tokens of the module.
    pub fn slots(&self) -> Vec<Slot> {
        let shown = self.run(
            self.tool("softhsm2-util")
                .arg("--module")
                .arg(&self.module)
                .arg("--show-slots"),
        );
        let mut slots = Vec::new();
        let (mut id, mut serial) = (0, String::new());
        for line in shown.lines() {
            let (name, value) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
            match name {
                "Serial number" => serial = value.trim().to_owned(),
                "Label" if !value.trim().is_empty() => slots.push(Slot {
                    id,
                    label: value.trim().to_owned(),
                    serial: std::mem::take(&mut serial),
                }),
                other => {
                    if let Some(number) = other.strip_prefix("Slot ") {
                        id = number.parse().unwrap_or(id);
                    }
                }
            }
        }
        slots
    }

    /// The module copied: another instance with a memory of its own, as it
    /// would be for another device. (A symbolic link is the same instance.)
    pub fn copy_of_module(&self, name: &str) -> PathBuf {
        let copy = self.folder.path().join(name);
        std::fs::copy(&self.module, &copy).expect("a copy of the module");
        copy
    }

    /// Makes a key pair as a ceremony with a vendor's tool does.
    pub fn generate(&self, kind: Kind, label: &str, id: &str) {
        let kind = match kind {
            Kind::EcdsaP256 => "EC:prime256v1",
            Kind::Ed25519 => "EC:edwards25519",
        };
        self.pkcs11_tool(&[
            "--keypairgen",
            "--key-type",
            kind,
            "--label",
            label,
            "--id",
            id,
            "--usage-sign",
        ]);
    }

    pub fn delete(&self, label: &str) {
        for kind in ["privkey", "pubkey"] {
            self.pkcs11_tool(&["--delete-object", "--type", kind, "--label", label]);
        }
    }

    pub fn change_pin(&mut self, new: &str) {
        self.pkcs11_tool(&["--change-pin", "--new-pin", new]);
        self.pin = new.to_owned();
    }

    /// The whole token as files, copied aside: what a clone or a restored
    /// backup of a device is.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Runs OpenSC's tool on this token, logged in.
    pub fn pkcs11_tool(&self, arguments: &[&str]) -> String {
        let mut tool = self.tool("pkcs11-tool");
        tool.arg("--module").arg(&self.module);
        tool.args(["--token-label", &self.label, "--login", "--pin", &self.pin]);
        self.run(tool.args(arguments))
    }

    /// A command in the environment that the module needs.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, command: &mut Command) -> String {
        let output = command.output();
        let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}; ./test installs it"));
        assert!(
            output.status.success(),
            "{command:?} failed\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("stella-token-").tempdir();
    folder.expect("a temporary folder")
}
