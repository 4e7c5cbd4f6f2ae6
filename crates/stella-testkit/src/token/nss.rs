//! NSS softokn, through the module that can hand it its parameters.

use super::{Faults, Token, folder, installed};

impl Token {
    /// An NSS database as a token. All of these have the same serial number.
    pub fn nss(label: &str) -> Self {
        let softokn = installed::library("libsoftokn3.so");
        let folder = folder();
        let tokens = folder.path().join("tokens");
        std::fs::create_dir(&tokens).expect("a folder for tokens");
        let parameters = format!(
            "configdir='sql:{}' tokenDescription='{label}' dbTokenDescription='{label}' flags=",
            tokens.display()
        );
        let token = Self {
            module: Faults::module(),
            environment: vec![
                ("FAULTY_TARGET".to_owned(), softokn.display().to_string()),
                ("FAULTY_RESERVED".to_owned(), parameters),
            ],
            folder,
            label: label.to_owned(),
            pin: "20417204".to_owned(),
            so_pin: String::new(),
        };
        // OpenSC's tool takes a database without a PIN for no token.
        let pin = token.folder().join("pin");
        std::fs::write(&pin, &token.pin).expect("the PIN");
        let database = format!("sql:{}", token.files().display());
        token.run(
            token
                .tool("certutil")
                .args(["-N", "-d", &database, "-f"])
                .arg(pin),
        );
        token
    }
}
