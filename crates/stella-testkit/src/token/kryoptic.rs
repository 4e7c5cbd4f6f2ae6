//! Kryoptic: PKCS#11 3.2 with ML-DSA, and a PIN that locks at the tenth try.

use std::path::PathBuf;
use std::process::Command;

use super::{Token, folder};

impl Token {
    /// A Kryoptic with one initialised token. `None`, with a notice, only
    /// where `./test` said that it could not be built.
    pub fn kryoptic(label: &str) -> Option<Self> {
        if std::env::var_os("STELLA_WITHOUT_KRYOPTIC").is_some() {
            eprintln!("skipped: Kryoptic could not be built");
            return None;
        }
        let module = built();
        assert!(
            module.is_file(),
            "no {}: ./test builds it, or testbeds/kryoptic/install target/kryoptic",
            module.display()
        );
        let folder = folder();
        let tokens = folder.path().join("tokens");
        std::fs::create_dir(&tokens).expect("a folder for tokens");
        let configuration = folder.path().join("kryoptic.toml");
        let text = format!(
            "[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
            tokens.join("token.sql").display()
        );
        std::fs::write(&configuration, text).expect("a configuration");
        let token = Self {
            module,
            environment: vec![("KRYOPTIC_CONF".to_owned(), configuration.display().to_string())],
            folder,
            label: label.to_owned(),
            pin: "20417204".to_owned(),
            so_pin: "86753098".to_owned(),
        };
        token.run(token.bare().args([
            "--init-token",
            "--slot",
            "42",
            "--label",
            label,
            "--so-pin",
            &token.so_pin,
        ]));
        let pins = ["--so-pin", &token.so_pin, "--new-pin", &token.pin];
        token.run(
            token
                .bare()
                .args([
                    "--init-pin",
                    "--token-label",
                    label,
                    "--login",
                    "--login-type",
                    "so",
                ])
                .args(pins),
        );
        Some(token)
    }

    /// Points of Edwards curves in an OCTET STRING, as those of the other
    /// curves are, and as most tokens show both. By itself Kryoptic shows
    /// their bytes alone.
    pub fn wrapping_points(mut self) -> Self {
        let variable = ("KRYOPTIC_EC_POINT_ENCODING".to_owned(), "DER".to_owned());
        self.environment.push(variable);
        self
    }

    fn bare(&self) -> Command {
        let mut tool = self.tool("pkcs11-tool");
        tool.arg("--module").arg(&self.module);
        tool
    }
}

fn built() -> PathBuf {
    match std::env::var_os("STELLA_KRYOPTIC") {
        Some(module) => module.into(),
        None => {
            let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
            let target = target.unwrap_or_else(|| PathBuf::from(workspace).join("target"));
            target.join("kryoptic/libkryoptic.so")
        }
    }
}
