//! The key-rotation runbook, typed as it stands into a home of its own:
//! rotation step by step, then the emergency. Part of its promise is what it
//! prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ANCHOR: &str = "550e8400-e29b-41d4-a716-446655440000";

#[test]
fn rotation_and_emergency_run_as_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk {
        home: folder.path().join("home"),
        predicate: folder.path().join("predicate.json"),
    };
    std::fs::write(&desk.predicate, r#"{"built": true}"#).expect("written");
    desk.ok("init");
    // `init` made the first key of the profile; the runbook's own one follows it.
    desk.ok("key generate --profile default --key-id key-2024-prod --algorithm SHA256-ED25519");
    desk.ok("keys activate key-2024-prod");
    desk.ok(&format!(
        "anchor create --anchor-id {ANCHOR} --purl-pattern pkg:npm/* --key-ids key-2024-prod \
         --predicate-types evidence.stella/v1,reasoning.stella/v1"
    ));
    let before = desk.attest("pkg:npm/left-pad@1.3.0");
    assert_eq!(desk.key_of(&before), "key-2024-prod");

    // Step 1 and 2: both keys are accepted, the new one signs.
    desk.ok("key generate --profile default --key-id key-2025-prod --algorithm SHA256-ED25519");
    desk.ok(&format!(
        "anchor add-key --anchor-id {ANCHOR} --key-id key-2025-prod"
    ));
    let after = desk.attest("pkg:npm/left-pad@1.3.1");
    assert_eq!(desk.key_of(&after), "key-2025-prod");
    for id in [&before, &after] {
        assert_eq!(desk.run(&format!("verify attestation --attestation {id}")).0, 0);
    }

    // Step 3: what the runbook promises to print.
    assert_eq!(
        desk.ok("anchor status --anchor-id 550e8400..."),
        format!(
            "Anchor: {ANCHOR}\nActive Keys: key-2024-prod, key-2025-prod\n\
             Verification Success Rate: 100%\nPending Rescans: 0\n"
        )
    );
    let list = desk.ok("anchor list");
    let columns: Vec<&str> = list
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(columns, ["ID", "Pattern", "Keys", "Status"]);

    // Step 4: the old key ends; what it signed before stays valid.
    desk.ok("anchor revoke-key --anchor-id 550e8400... --key-id key-2024-prod --reason annual-rotation --effective-at NOW");
    assert_eq!(
        desk.run(&format!("verify attestation --attestation {before}")).0,
        0
    );
    let validity = desk.run("key check-validity --key-id key-2024-prod --at-time 2024-06-15T12:00:00Z");
    assert_eq!(validity.0, 12, "it was not in the anchor then");
    assert_eq!(
        desk.run("key check-validity --key-id key-2025-prod --at-time NOW")
            .0,
        0
    );

    // The emergency.
    let (code, _, radius) = desk.run(
        "anchor revoke-key --anchor-id ALL --key-id key-2025-prod --reason compromise --effective-at NOW",
    );
    assert_eq!(code, 0, "{radius}");
    assert!(radius.contains("revoking key-2025-prod (compromise)"), "{radius}");
    assert_eq!(
        desk.run(&format!("verify attestation --attestation {after}")).0,
        11,
        "since when it was compromised is not known"
    );
    let (code, ..) = desk.run(&desk.create("pkg:npm/left-pad@1.3.2"));
    assert_eq!(code, 5, "recorded until there is a successor");
    desk.ok("key generate --profile default --key-id emergency-key-20250304");
    desk.ok("anchor add-key --anchor-id ALL --key-id emergency-key-20250304");
    desk.ok("attest retry --failed --last 1h");
    let last = desk.attest("pkg:npm/left-pad@1.3.3");
    assert_eq!(desk.key_of(&last), "emergency-key-20250304");
    assert_eq!(desk.run(&format!("verify attestation --attestation {last}")).0, 0);

    // Audit.
    let audit = desk.ok("audit query --type KEY_* --from 2025-01-01 --to 9998-12-31");
    for event in ["KEY_GENERATED", "KEY_ADDED", "KEY_REVOKED"] {
        assert!(audit.contains(event), "{audit}");
    }
    desk.ok("key rotation-warnings");
    desk.ok("db verify");
}

struct Desk {
    home: PathBuf,
    predicate: PathBuf,
}

impl Desk {
    fn ok(&self, line: &str) -> String {
        let (code, out, err) = self.run(line);
        assert_eq!(code, 0, "{line}\n{out}{err}");
        out
    }

    fn run(&self, line: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_stellaops"))
            .args(line.split_whitespace())
            .current_dir(Path::new("/"))
            .env_clear()
            .env("STELLA_HOME", &self.home)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn create(&self, name: &str) -> String {
        let digest = stella_core::digest::Sha256::of(name.as_bytes()).to_hex();
        let predicate = self.predicate.display();
        format!(
            "attest create --type evidence.stella/v1 --predicate {predicate} --subject {name}@sha256:{digest}"
        )
    }

    /// The id of a signed attestation.
    fn attest(&self, name: &str) -> String {
        let line = format!("{} -o json", self.create(name));
        let created: serde_json::Value = serde_json::from_str(&self.ok(&line)).expect("JSON");
        created["id"].as_str().expect("an id").to_owned()
    }

    fn key_of(&self, id: &str) -> String {
        let shown: serde_json::Value =
            serde_json::from_str(&self.ok(&format!("attest show {id} -o json"))).expect("JSON");
        shown["keyId"].as_str().unwrap_or_default().to_owned()
    }
}
