//! OpenSSL as the judge of the encodings: each side verifies what the other
//! signed, and reads the keys that the other wrote.

use std::path::Path;
use std::process::{Command, Output};

use stella_core::alg::{Algorithm, PublicKey};
use stella_keys::software::{SoftwareKey, SoftwareStore};
use stella_keys::{Generate, Sign, sign_verified};

const MESSAGE: &[u8] = b"DSSEv1 4 test 7 message";

/// What openssl has to be told about an algorithm.
struct Scheme {
    algorithm: &'static str,
    /// For every command: where the algorithm is.
    engine: &'static [&'static str],
    genpkey: &'static [&'static str],
    /// How a message, and not its digest, is signed and verified.
    raw: &'static [&'static str],
}

const SCHEMES: &[Scheme] = &[
    Scheme {
        algorithm: "ed25519",
        engine: &[],
        genpkey: &["-algorithm", "ed25519"],
        raw: &["-rawin"],
    },
    P256,
    SM2,
    GOST,
];

const P256: Scheme = Scheme {
    algorithm: "p256",
    engine: &[],
    genpkey: &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    raw: &["-rawin"],
};

/// Without `distid` OpenSSL 3.0 hashes an empty user id.
const SM2: Scheme = Scheme {
    algorithm: "sm2",
    engine: &[],
    genpkey: &["-algorithm", "sm2"],
    raw: &["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"],
};

const GOST: Scheme = Scheme {
    algorithm: "gost2012-256",
    engine: &["-engine", "gost"],
    genpkey: &["-algorithm", "gost2012_256", "-pkeyopt", "paramset:A"],
    raw: &["-rawin", "-digest", "md_gost12_256"],
};

#[test]
fn openssl_verifies_our_signatures_and_reads_our_public_keys() {
    for scheme in SCHEMES {
        let Some(work) = Bench::new(scheme) else { continue };
        let algorithm: Algorithm = scheme.algorithm.parse().expect("algorithm");
        let key = SoftwareStore.generate(algorithm).expect("key");
        work.write("key.pub", key.public_key().to_pem().as_bytes());
        let reread = work.run(&["pkey", "-pubin", "-in", "key.pub"]);
        assert_eq!(
            String::from_utf8_lossy(&reread.stdout),
            key.public_key().to_pem(),
            "openssl writes the key as we do"
        );
        let der = work.run(&["pkey", "-pubin", "-in", "key.pub", "-outform", "DER"]);
        assert_eq!(der.stdout, key.public_key().spki_der(), "{algorithm}");

        // Often enough for every length of r and s.
        for i in 0..32 {
            let message = [MESSAGE, &[i]].concat();
            let signature = sign_verified(&key, &message).expect("signature");
            work.write("signature", signature.as_bytes());
            work.write("message", &message);
            assert!(work.verifies(), "{algorithm}");
        }
        work.write("message", b"another message");
        assert!(!work.verifies(), "{algorithm}");
    }
}

#[test]
fn we_verify_the_signatures_of_openssl_and_import_its_keys() {
    for scheme in SCHEMES {
        let Some(work) = Bench::new(scheme) else { continue };
        let algorithm = scheme.algorithm;
        work.run(&[&["genpkey", "-out", "key"], scheme.genpkey].concat());
        work.run(&["pkey", "-in", "key", "-pubout", "-out", "key.pub"]);
        let public_key = PublicKey::from_any(&work.read("key.pub")).expect("public key");
        for i in 0..32 {
            let message = [MESSAGE, &[i]].concat();
            work.write("message", &message);
            work.sign();
            let signature = work.read("signature");
            assert_eq!(public_key.verify(&message, &signature), Ok(()), "{algorithm}");
            assert!(public_key.verify(b"another", &signature).is_err());
        }

        let imported = SoftwareKey::import(&work.read("key")).expect("imported");
        assert_eq!(*imported.public_key(), public_key);
        assert!(sign_verified(&imported, MESSAGE).is_ok());
        work.run(&[
            "pkcs8", "-topk8", "-nocrypt", "-in", "key", "-outform", "DER", "-out", "der",
        ]);
        let der = SoftwareKey::import(&work.read("der")).expect("as DER");
        assert_eq!(*der.public_key(), public_key);

        let error = PublicKey::from_any(&work.read("key")).expect_err("private");
        assert!(error.to_string().contains("PRIVATE KEY"), "{error}");
    }
}

#[test]
fn the_user_id_of_sm2_is_part_of_what_is_signed() {
    let Some(work) = Bench::new(&SM2) else { return };
    work.run(&[&["genpkey", "-out", "key"], SM2.genpkey].concat());
    work.write("message", MESSAGE);
    let key = SoftwareKey::import(&work.read("key")).expect("imported");
    for (id, ours) in [("1234567812345678", true), ("ALICE123@YAHOO.COM", false)] {
        let id = format!("distid:{id}");
        let id = ["-rawin", "-digest", "sm3", "-pkeyopt", id.as_str()];
        let sign = [
            "pkeyutl",
            "-sign",
            "-inkey",
            "key",
            "-in",
            "message",
            "-out",
            "signature",
        ];
        work.run(&[&sign[..], &id[..]].concat());
        let verdict = key.public_key().verify(MESSAGE, &work.read("signature"));
        assert_eq!(verdict.is_ok(), ours, "{id:?}");
    }
}

#[test]
fn a_gost_key_is_one_key_under_every_name_of_its_curve() {
    let Some(work) = Bench::new(&GOST) else { return };
    for (set, taken) in [
        ("A", true),
        ("TCB", true),
        ("XA", true),
        ("TCA", false),
        ("B", false),
    ] {
        let set = format!("paramset:{set}");
        let genpkey = ["genpkey", "-algorithm", "gost2012_256", "-out", "key", "-pkeyopt"];
        work.run(&[&genpkey[..], &[set.as_str()]].concat());
        work.run(&["pkey", "-in", "key", "-pubout", "-out", "key.pub"]);
        let public_key = PublicKey::from_any(&work.read("key.pub"));
        let private_key = SoftwareKey::import(&work.read("key"));
        if taken {
            let public_key = public_key.expect(&set);
            assert_eq!(*private_key.expect(&set).public_key(), public_key);
            work.write("message", MESSAGE);
            work.sign();
            assert!(public_key.verify(MESSAGE, &work.read("signature")).is_ok());
            // Written under its first name, in which the engine reads it too.
            work.write("key.pub", public_key.to_pem().as_bytes());
            assert!(work.verifies(), "{set}");
        } else {
            assert_eq!(public_key.expect_err(&set).code(), "key.unsupported-algorithm");
            let error = private_key.expect_err(&set);
            assert_eq!(error.code(), "key.unsupported-algorithm");
            assert!(error.to_string().contains("over the curve"), "{error}");
        }
    }
}

#[test]
fn other_forms_of_openssl_are_refused_with_the_way_out() {
    let Some(work) = Bench::new(&P256) else { return };
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

/// A folder in which openssl runs, with what it needs for one algorithm.
struct Bench(tempfile::TempDir, &'static Scheme);

impl Bench {
    fn new(scheme: &'static Scheme) -> Option<Self> {
        let check: &[&str] = match scheme.engine {
            [_, engine] => &["engine", engine],
            _ => &["version"],
        };
        let there = Command::new("openssl").args(check).output();
        if !there.is_ok_and(|output| output.status.success()) {
            println!("skipped: there is no openssl for {}", scheme.algorithm);
            return None;
        }
        Some(Self(tempfile::tempdir().expect("temporary folder"), scheme))
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
        let (verb, rest) = arguments.split_first().expect("a verb");
        Command::new("openssl")
            .arg(verb)
            .args(self.1.engine)
            .args(rest)
            .current_dir(self.path())
            .output()
            .expect("openssl")
    }

    fn verifies(&self) -> bool {
        let files = ["-pubin", "-inkey", "key.pub", "-sigfile", "signature"];
        let output =
            self.output(&[&["pkeyutl", "-verify", "-in", "message"], &files[..], self.1.raw].concat());
        output.status.success()
    }

    fn sign(&self) {
        let files = ["-inkey", "key", "-out", "signature"];
        self.run(&[&["pkeyutl", "-sign", "-in", "message"], &files[..], self.1.raw].concat());
    }
}
