//! What the person on call types, with the real program.

use std::process::Command;

use serde_json::Value;
use stella_testkit::binary::Stella;

#[test]
fn the_doctor_is_a_probe_that_names_the_way_out() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    // Without an instance there is nothing to examine, and nothing is made.
    s.run("doctor").ends(2).says("init");
    s.ok("init");
    let well = s.ok("doctor");
    let place = format!("target          {} (embedded)", s.home().display());
    assert!(well.stdout.starts_with(&place), "{well:?}");
    well.says("pass  check.attestor.signing-health")
        .says("signed and verified in");
    s.ok("doctor --check check.attestor.signing-health -q")
        .says("pass\n");
    s.ok("doctor --all")
        .says("skip  check.crypto.hsm-availability")
        .says("no HSM is configured");

    // A revoked key: the probe fails, says why, and its command mends it.
    let key = s.json("keys list")["keys"][0]["id"]
        .as_str()
        .expect("a key")
        .to_owned();
    s.ok(&format!("keys revoke {key} --reason compromise"));
    let ill = s
        .run("doctor --check check.attestor.signing-health -o json")
        .ends(1)
        .json();
    assert_eq!(ill["status"], "fail", "{ill}");
    let finding = &ill["checks"][0]["findings"][0];
    let next = finding["next"].as_str().expect("a command");
    assert!(next.starts_with("stella keys generate"), "{ill}");
    assert_ne!(finding["cause"], Value::Null);
    s.ok(next.strip_prefix("stella ").expect("our own command"));
    s.ok("doctor --check check.attestor.signing-health");
    // The anchor still accepts the old key alone.
    s.run("doctor")
        .ends(1)
        .says("check.anchors.keys")
        .says("next: stella anchor add-key --anchor-id");

    s.run("doctor --check check.attestor.signing")
        .ends(3)
        .says("did you mean check.attestor.signing-health?");
}

#[test]
fn a_pin_that_is_typed_is_never_shown_and_the_terminal_is_given_back() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    let typed = Command::new("python3")
        .args([
            "-c",
            include_str!("support/typed.py"),
            env!("CARGO_BIN_EXE_stella"),
        ])
        // There is nothing to ask there: the PIN goes nowhere.
        .env("STELLA_HOME", s.home())
        .output()
        .expect("python3 runs; ./test installs it");
    assert!(
        typed.status.success(),
        "{}",
        String::from_utf8_lossy(&typed.stderr)
    );
}
