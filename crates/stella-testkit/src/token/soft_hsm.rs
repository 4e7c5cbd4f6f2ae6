//! SoftHSM 2: ECDSA and EdDSA; it never locks a PIN.

use std::path::Path;
use std::process::Command;

use super::{Token, folder, installed};

impl Token {
    /// A SoftHSM with one initialised token.
    pub fn soft_hsm(label: &str) -> Self {
        let folder = folder();
        let tokens = folder.path().join("tokens");
        std::fs::create_dir(&tokens).expect("a folder for tokens");
        let configuration = folder.path().join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        std::fs::write(&configuration, text).expect("a configuration");
        let token = Self {
            module: installed::library("libsofthsm2.so"),
            environment: vec![("SOFTHSM2_CONF".to_owned(), configuration.display().to_string())],
            folder,
            label: label.to_owned(),
            pin: "20417".to_owned(),
            so_pin: "8675309".to_owned(),
        };
        token.add(label);
        token
    }

    /// One token more in the same module, with the same PINs. The label may
    /// be one that is there already.
    pub fn add(&self, label: &str) {
        let initialise = [
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            &self.so_pin,
            "--pin",
            &self.pin,
        ];
        self.run(self.tool("softhsm2-util").args(initialise));
    }

    /// Puts a private key (PKCS#8) into the token, as a vendor's tool does.
    pub fn import(&self, file: &Path, label: &str, id: &str) {
        let mut tool = self.tool("softhsm2-util");
        tool.arg("--import").arg(file);
        tool.args(["--token", &self.label, "--label", label, "--id", id]);
        self.run(tool.args(["--pin", &self.pin]));
    }

    /// Initialised anew under the same label: all keys are gone. SoftHSM keeps
    /// the serial number, as a device does.
    pub fn initialise_again(&self) {
        let initialise = ["--init-token", "--token", &self.label, "--label", &self.label];
        let pins = ["--so-pin", &self.so_pin, "--pin", &self.pin];
        self.run(self.tool("softhsm2-util").args(initialise).args(pins));
    }

    /// Takes the token out: its files are moved away until they are put back.
    pub fn take_out(&self) {
        std::fs::rename(self.files(), self.files().with_extension("out")).expect("the token is in");
        std::fs::create_dir(self.files()).expect("an empty folder");
    }

    pub fn put_back(&self) {
        std::fs::remove_dir_all(self.files()).expect("the empty folder");
        std::fs::rename(self.files().with_extension("out"), self.files()).expect("the token is out");
    }

    /// The same token in another SoftHSM: the same serial number, label, PIN
    /// and keys, as a device cloned for redundancy has them.
    pub fn cloned(&self) -> Self {
        let mut clone = Self::soft_hsm("emptied");
        clone.restore_from(self);
        clone.label.clone_from(&self.label);
        clone.pin.clone_from(&self.pin);
        clone
    }

    /// Whether its module still shows it. SoftHSM rewrites a token's files in
    /// place, and whoever is killed over that leaves none behind.
    pub fn is_there(&self) -> bool {
        self.slots().iter().any(|slot| slot.label == self.label)
    }

    /// The files of another one in place of its own, as a device is restored
    /// from its clone.
    pub fn restore_from(&self, other: &Self) {
        std::fs::remove_dir_all(self.files()).expect("its folder");
        let mut copy = Command::new("cp");
        let copied = copy.arg("-r").arg(other.files()).arg(self.files()).status();
        assert!(
            copied.is_ok_and(|status| status.success()),
            "the files are copied"
        );
    }
}
