//! OpenSSL as the judge of the encodings: each side verifies what the other
//! signed, and reads the keys that the other wrote.

use std::path::Path;
use std::process::{Command, Output};

use stella_core::alg::{Algorithm, PublicKey};
use stella_keys::software::{SoftwareKey, SoftwareStore};
use stella_keys::{Generate, Sign, sign_verified};

const MESSAGE: &[u8] = b"DSSEv1 4 test 7 message";

#[test]
fn openssl_verifies_our_signatures_and_reads_our_public_keys() {
    let Some(work) = Bench::new() else { return };
    for algorithm in ["ed25519", "p256"] {
        let algorithm: Algorithm = algorithm.parse().expect("algorithm");
        let key = SoftwareStore.generate(algorithm).expect("key");
        work.write("key.pub", key.public_key().to_pem().as_bytes());
        let reread = work.run(&["pkey", "-pubin", "-in", "key.pub"]);
        assert_eq!(
            String::from_utf8_lossy(&reread.stdout),
            key.public_key().to_pem(),
            "openssl writes the key as we do"
        );

        let signature = sign_verified(&key, MESSAGE).expect("signature");
        work.write("signature", signature.as_bytes());
        work.write("message", MESSAGE);
        assert!(work.verifies(), "{algorithm}");
        work.write("message", b"another message");
        assert!(!work.verifies(), "{algorithm}");
    }
}

#[test]
fn we_verify_the_signatures_of_openssl_and_import_its_keys() {
    let Some(work) = Bench::new() else { return };
    for genpkey in [
        &["-algorithm", "ed25519"][..],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ] {
        work.run(&[&["genpkey", "-out", "key"], genpkey].concat());
        work.run(&["pkey", "-in", "key", "-pubout", "-out", "key.pub"]);
        work.write("message", MESSAGE);
        work.sign();

        let public_key = PublicKey::from_any(&work.read("key.pub")).expect("public key");
        let signature = work.read("signature");
        assert_eq!(public_key.verify(MESSAGE, &signature), Ok(()), "{genpkey:?}");
        assert!(public_key.verify(b"another", &signature).is_err());

        let imported = SoftwareKey::import(&work.read("key")).expect("imported");
        assert_eq!(*imported.public_key(), public_key);
        assert!(sign_verified(&imported, MESSAGE).is_ok());
        let der = ["-outform", "DER", "-out", "key.der"];
        work.run(&[&["pkcs8", "-topk8", "-nocrypt", "-in", "key"], &der[..]].concat());
        assert!(SoftwareKey::import(&work.read("key.der")).is_ok(), "as DER");

        let error = PublicKey::from_any(&work.read("key")).expect_err("private");
        assert!(error.to_string().contains("PRIVATE KEY"), "{error}");
    }
}

#[test]
fn other_forms_of_openssl_are_refused_with_the_way_out() {
    let Some(work) = Bench::new() else { return };
    let curve = "ec_paramgen_curve:P-256";
    work.run(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", "key"]);

    work.run(&[
        "pkey",
        "-in",
        "key",
        "-pubout",
        "-ec_conv_form",
        "compressed",
        "-out",
        "c.pub",
    ]);
    let error = PublicKey::from_any(&work.read("c.pub")).expect_err("compressed");
    assert!(
        error.to_string().contains("-ec_conv_form uncompressed"),
        "{error}"
    );
    work.run(&[
        "pkey",
        "-pubin",
        "-ec_conv_form",
        "uncompressed",
        "-in",
        "c.pub",
        "-out",
        "u.pub",
    ]);
    let mended = PublicKey::from_any(&work.read("u.pub")).expect("the command of the message mends it");
    let imported = SoftwareKey::import(&work.read("key")).expect("imported");
    assert_eq!(*imported.public_key(), mended);

    let explicit = ["-ec_param_enc", "explicit"];
    work.run(&[&["pkey", "-in", "key", "-pubout", "-out", "e.pub"], &explicit[..]].concat());
    let error = PublicKey::from_any(&work.read("e.pub")).expect_err("explicit curve");
    assert_eq!(error.code(), "key.unsupported-algorithm");

    work.run(&["ec", "-in", "key", "-out", "sec1"]);
    let error = SoftwareKey::import(&work.read("sec1")).expect_err("SEC 1");
    assert!(
        error.to_string().contains("openssl pkcs8 -topk8 -nocrypt"),
        "{error}"
    );
    work.run(&["pkey", "-in", "key", "-outform", "DER", "-out", "sec1.der"]);
    let error = SoftwareKey::import(&work.read("sec1.der")).expect_err("SEC 1 in DER");
    assert!(error.to_string().contains("-inform DER"), "{error}");
    work.run(&["pkcs8", "-topk8", "-nocrypt", "-in", "sec1", "-out", "p8"]);
    let mended = SoftwareKey::import(&work.read("p8")).expect("the command of the message mends it");
    assert_eq!(mended.public_key(), imported.public_key());

    work.run(&[
        "pkcs8",
        "-topk8",
        "-passout",
        "pass:word",
        "-in",
        "key",
        "-out",
        "encrypted",
    ]);
    let error = SoftwareKey::import(&work.read("encrypted")).expect_err("encrypted");
    assert!(error.to_string().contains("encrypted private key"), "{error}");

    work.run(&["genpkey", "-algorithm", "RSA", "-out", "rsa"]);
    let error = SoftwareKey::import(&work.read("rsa")).expect_err("RSA");
    assert_eq!(error.code(), "key.unsupported-algorithm");
}

/// A folder in which openssl runs.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: there is no openssl");
            return None;
        }
        Some(Self(tempfile::tempdir().expect("temporary folder")))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path().join(name), bytes).expect("write");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).expect("read")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {said}");
        output
    }

    fn output(&self, arguments: &[&str]) -> Output {
        Command::new("openssl")
            .args(arguments)
            .current_dir(self.path())
            .output()
            .expect("openssl")
    }

    fn verifies(&self) -> bool {
        let files = ["-pubin", "-inkey", "key.pub", "-sigfile", "signature"];
        let output = self.output(&[&["pkeyutl", "-verify", "-rawin", "-in", "message"], &files[..]].concat());
        output.status.success()
    }

    fn sign(&self) {
        let files = ["-inkey", "key", "-out", "signature"];
        self.run(&[&["pkeyutl", "-sign", "-rawin", "-in", "message"], &files[..]].concat());
    }
}
