//! Other people's clients as judges of what we sign.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stella_testkit::binary::Stella;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the workspace")
        .to_owned()
}

/// `None`, with a notice, only where `./test` said that it could not be had.
fn python() -> Option<PathBuf> {
    if std::env::var_os("STELLA_WITHOUT_PEERS").is_some() {
        eprintln!("skipped: the Python clients could not be installed");
        return None;
    }
    let peers =
        std::env::var_os("STELLA_PEERS").map_or_else(|| workspace().join("target/peers"), PathBuf::from);
    let python = peers.join("python/bin/python");
    assert!(
        python.exists(),
        "{} is not there: ./test installs it, or benches/peers/install target/peers python",
        python.display()
    );
    Some(python)
}

fn securesystemslib(python: &Path, bundle: &str, key: &str) -> Output {
    Command::new(python)
        .arg(workspace().join("benches/peers/securesystemslib_verify.py"))
        .args([bundle, key])
        .output()
        .expect("python runs")
}

#[test]
fn securesystemslib_verifies_our_envelopes_and_no_changed_one() {
    let Some(python) = python() else { return };
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    s.ok("init");
    let place = |name: &str| s.folder().join(name).display().to_string();
    s.ok("keys generate --algorithm ecdsa-p256");
    for profile in ["default", "fips"] {
        let bundle = place(&format!("{profile}.json"));
        s.ok(&format!(
            "attest create --type test --subject test:peers --profile {profile} --bundle {bundle}"
        ));
        let text = std::fs::read_to_string(&bundle).expect("a bundle");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let hint = &json["verificationMaterial"]["publicKey"]["hint"];
        let key_id = hint.as_str().expect("who signed");
        let public = s.ok(&format!("keys show {key_id} --public")).stdout;
        let key = s.file(&format!("{profile}.pem"), public);
        let theirs = securesystemslib(&python, &bundle, &key);
        assert!(theirs.status.success(), "{profile}: {theirs:?}");

        // Another first byte: "{" becomes "y" or the like.
        let payload = json["dsseEnvelope"]["payload"].as_str().expect("a payload");
        let other = format!("f{}", &payload[1..]);
        json["dsseEnvelope"]["payload"] = other.into();
        let changed = s.file("changed.json", json.to_string());
        let refused = securesystemslib(&python, &changed, &key);
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(why.contains("VerificationError"), "{profile}: {refused:?}");
    }
}
