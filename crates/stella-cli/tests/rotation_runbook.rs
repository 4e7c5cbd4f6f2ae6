//! The key-rotation runbook, typed as it stands into a home of its own:
//! rotation step by step, then the emergency. Part of its promise is what it
//! prints.

use stella_testkit::binary::Stella;

const ANCHOR: &str = "550e8400-e29b-41d4-a716-446655440000";

#[test]
fn rotation_and_emergency_run_as_written() {
    let stella = Stella::new(env!("CARGO_BIN_EXE_stellaops"));
    let predicate = stella.file("predicate.json", r#"{"built": true}"#);
    let desk = Desk { stella, predicate };
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
        desk.verify(id, 0);
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
    desk.verify(&before, 0);
    // It was not in the anchor then.
    desk.stella
        .run("key check-validity --key-id key-2024-prod --at-time 2024-06-15T12:00:00Z")
        .ends(12);
    desk.ok("key check-validity --key-id key-2025-prod --at-time NOW");

    // The emergency.
    let revoked = desk.stella.ok(
        "anchor revoke-key --anchor-id ALL --key-id key-2025-prod --reason compromise --effective-at NOW",
    );
    assert!(
        revoked.stderr.starts_with("revoking key-2025-prod (compromise)"),
        "{revoked:?}"
    );
    // What to do next is said once, when it is done.
    let commands = |text: &str| text.lines().filter(|l| l.starts_with("  next: ")).count();
    assert_eq!(commands(&revoked.stderr), 0, "{revoked:?}");
    assert!(commands(&revoked.stdout) > 2, "{revoked:?}");
    // Since when it was compromised is not known.
    desk.verify(&after, 11);
    // Recorded until there is a successor.
    desk.stella.run(&desk.create("pkg:npm/left-pad@1.3.2")).ends(5);
    desk.ok("key generate --profile default --key-id emergency-key-20250304");
    desk.ok("anchor add-key --anchor-id ALL --key-id emergency-key-20250304");
    desk.ok("attest retry --failed --last 1h");
    let last = desk.attest("pkg:npm/left-pad@1.3.3");
    assert_eq!(desk.key_of(&last), "emergency-key-20250304");
    desk.verify(&last, 0);

    // Audit.
    let audit = desk.ok("audit query --type KEY_* --from 2025-01-01 --to 9998-12-31");
    for event in ["KEY_GENERATED", "KEY_ADDED", "KEY_REVOKED"] {
        assert!(audit.contains(event), "{audit}");
    }
    desk.ok("key rotation-warnings");
    desk.ok("db verify");
}

struct Desk {
    stella: Stella,
    predicate: String,
}

impl Desk {
    fn ok(&self, line: &str) -> String {
        self.stella.ok(line).stdout
    }

    fn create(&self, name: &str) -> String {
        let digest = stella_core::digest::Sha256::of(name.as_bytes()).to_hex();
        let predicate = &self.predicate;
        format!(
            "attest create --type evidence.stella/v1 --predicate {predicate} --subject {name}@sha256:{digest}"
        )
    }

    /// The id of a signed attestation.
    fn attest(&self, name: &str) -> String {
        let created = self.stella.json(&self.create(name));
        created["id"].as_str().expect("an id").to_owned()
    }

    fn key_of(&self, id: &str) -> String {
        let shown = self.stella.json(&format!("attest show {id}"));
        shown["keyId"].as_str().unwrap_or_default().to_owned()
    }

    fn verify(&self, id: &str, ends: i32) {
        self.stella
            .run(&format!("verify attestation --attestation {id}"))
            .ends(ends);
    }
}
