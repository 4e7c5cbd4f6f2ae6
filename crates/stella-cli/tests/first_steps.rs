//! From an empty folder to a verdict, with the real program and no server:
//! the verification steps of the signing runbook.

use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn an_empty_folder_becomes_a_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let stella = |line: &str| run(&home, line);

    let (code, _, err) = stella("attest status");
    assert_eq!(code, 2, "it never makes a home by itself: {err}");
    assert!(err.contains("next: stella"), "{err}");

    assert_eq!(stella("init").0, 0);
    let status = stella("attest status").1;
    assert!(status.starts_with("target "), "the target comes first: {status}");
    assert_eq!(stella("attest test-sign").0, 0);

    let (code, created, err) = stella("attest create --type test --subject test:verification -o json");
    assert_eq!(code, 0, "{err}");
    let created: serde_json::Value = serde_json::from_str(&created).expect("JSON");
    let id = created["id"].as_str().expect("an id");

    let (code, verdict, _) = stella("verify attestation --last");
    assert_eq!(code, 0);
    assert!(
        verdict.starts_with("PASS  test:verification  test  ok\n"),
        "{verdict}"
    );
    for check in ["envelope", "statement", "anchor", "signature", "time", "key"] {
        assert!(verdict.contains(&format!("  ✓ {check} ")), "{check}: {verdict}");
    }
    assert_eq!(stella(&format!("attest integrity-check {id}")).0, 0);
    assert_eq!(
        stella("attest logs --level error --last 30m").1,
        "no log lines match\n"
    );
    assert!(stella(&format!("attest show {id}")).1.contains("algorithm "));

    let absent = "0".repeat(64);
    assert_eq!(stella(&format!("verify artifact --digest sha256:{absent}")).0, 10);
    assert_eq!(stella("attest show ffffffff").0, 3);
    assert_eq!(stella("db verify").0, 0);
}

#[test]
fn a_bundle_is_judged_with_and_without_its_artifact() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let stella = |line: &str| run(&home, line);
    let (artifact, other) = (folder.path().join("app.tar"), folder.path().join("other.tar"));
    let bundle = folder.path().join("bundle.json");
    std::fs::write(&artifact, "the artifact").expect("written");
    std::fs::write(&other, "another").expect("written");

    assert_eq!(stella("init").0, 0);
    let (code, _, err) = stella(&format!(
        "attest create --type test --subject {} --purl test:app --bundle {}",
        artifact.display(),
        bundle.display()
    ));
    assert_eq!(code, 0, "{err}");

    let verify = format!("verify --bundle {} --purl test:app", bundle.display());
    assert_eq!(
        stella(&format!("{verify} --artifact {}", artifact.display())).0,
        0
    );
    let (code, verdict, _) = stella(&format!("{verify} --artifact {}", other.display()));
    assert_ne!(code, 0, "{verdict}");
    let (code, verdict, _) = stella(&format!("verify --bundle {} -o json", bundle.display()));
    let verdict: serde_json::Value = serde_json::from_str(&verdict).expect("JSON");
    assert_eq!((code, &verdict["artifactBound"]), (0, &serde_json::json!(false)));
}

fn run(home: &PathBuf, line: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_stella"))
        .args(line.split(' '))
        .env_clear()
        .env("STELLA_HOME", home)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// What OpenSSL writes is read, and it reads what we write, in both forms.
#[test]
fn keys_come_and_go_as_pem_and_as_der() {
    let stella = stella_testkit::binary::Stella::new(env!("CARGO_BIN_EXE_stella"));
    let openssl = |arguments: &[&str]| {
        let done = std::process::Command::new("openssl")
            .args(arguments)
            .output()
            .expect("openssl is installed");
        assert!(
            done.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    };
    stella.ok("init --no-key");
    let file = |name: &str| stella.folder().join(name).display().to_string();
    let (private, private_der, public_der) = (file("k.pem"), file("k.der"), file("p.der"));
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &private,
    ]);
    openssl(&[
        "pkcs8",
        "-topk8",
        "-nocrypt",
        "-in",
        &private,
        "-outform",
        "DER",
        "-out",
        &private_der,
    ]);
    stella.ok(&format!(
        "keys import --key-id own --profile fips --private-key {private_der}"
    ));
    let ours = stella
        .command("keys show own --public --der".split_whitespace())
        .output()
        .expect("runs")
        .stdout;
    assert_eq!(
        ours,
        openssl(&["pkey", "-in", &private, "-pubout", "-outform", "DER"])
    );
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]);
    openssl(&[
        "pkey",
        "-in",
        &private,
        "-pubout",
        "-outform",
        "DER",
        "-out",
        &public_der,
    ]);
    stella.ok(&format!("keys import --key-id partner --public-key {public_der}"));
    let pem = stella.ok("keys show partner --public").stdout;
    assert_eq!(pem.as_bytes(), openssl(&["pkey", "-in", &private, "-pubout"]));
}

/// One artifact, signed by every profile there is.
#[test]
fn every_profile_signs_and_says_what_it_signs_with() {
    let stella = stella_testkit::binary::Stella::new(env!("CARGO_BIN_EXE_stella"));
    stella.ok("init --no-key");
    let listed = stella.ok("crypto providers list --algorithms").stdout;
    for (profile, algorithm, unaudited) in [
        ("default", "SHA256-ED25519", false),
        ("fips", "SHA256-ECDSA-P256", false),
        ("pqc", "ML-DSA-65", false),
        ("gost", "GOST-R-34.10-2012", true),
        ("sm2", "SM2-P256", true),
    ] {
        let row = listed
            .lines()
            .find(|line| line.starts_with(algorithm))
            .expect(algorithm);
        assert_eq!(row.contains("(unaudited)"), unaudited, "{row}");

        let made = stella.ok(&format!("keys generate --profile {profile} --key-id {profile}-1"));
        assert_eq!(made.stdout.contains("unaudited"), unaudited, "{}", made.stdout);
        stella.ok(&format!(
            "anchor create --purl-pattern test:{profile}-* --key-ids {profile}-1"
        ));
        stella.ok(&format!(
            "attest create --type test --subject test:{profile}-app --profile {profile}"
        ));
        stella
            .ok("verify attestation --last")
            .says("PASS")
            .says(&format!("{algorithm} by {profile}-1"));
    }
    stella
        .ok("keys generate --algorithm gost2012-256 --key-id next")
        .says("GOST-R-34.10-2012");
}

#[test]
fn settings_that_need_a_warning_give_one() {
    let stella = stella_testkit::binary::Stella::new(env!("CARGO_BIN_EXE_stella"));
    stella.ok("init --no-key");
    stella
        .ok("attest config set signing.mode software")
        .says("Software signing may not meet compliance requirements");
    stella
        .ok("attest reload")
        .says("Software signing may not meet compliance requirements");
    stella
        .ok("keys config set rotation.auto true")
        .says("does not rotate by itself yet");
}
