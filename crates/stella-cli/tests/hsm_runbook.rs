//! The runbook for HSM connection issues, and the parts on HSMs of the one for
//! signatures that fail, typed as they stand against a server whose token is at
//! the other end of a connection that is cut and restored.

use std::fs::File;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stella_testkit::binary::{Ran, Stella};
use stella_testkit::token::{Faults, Link, Token};

/// A server whose profile `default` signs on the token.
struct Desk {
    s: Stella,
    config: String,
    server: Option<Child>,
}

impl Desk {
    fn new(token: &Token) -> Self {
        let mut desk = Self::configured(&[("primary", token)], "allowSoftware: true");
        desk.ok("keys generate --profile default --key-id prod-a");
        desk.ok("anchor create --purl-pattern pkg:npm/* --key-ids prod-a");
        desk.serve();
        desk
    }

    /// The profile `default` on the token `prod` of the first module.
    fn configured(modules: &[(&str, &Token)], profile: &str) -> Self {
        let s = Stella::new(env!("CARGO_BIN_EXE_stellaops"));
        let mut text = format!(
            "signer:\n  profiles:\n    default: {{algorithm: ecdsa-p256, keyStore: \"hsm://pkcs11/token/prod\", {profile}}}\nhsm:\n  modules:\n"
        );
        for (name, token) in modules {
            let pin = s.file(&format!("pin-{name}"), token.pin());
            let env: Vec<String> = token
                .environment()
                .iter()
                .map(|(variable, value)| format!("{variable}: \"{value}\""))
                .collect();
            text += &format!(
                "    {name}: {{libraryPath: \"{}\", pinFile: \"{pin}\", env: {{{}}}, requestTimeout: 2s}}\n",
                token.module().display(),
                env.join(", ")
            );
        }
        let config = s.file("signer.yaml", text);
        let desk = Self {
            s,
            config,
            server: None,
        };
        desk.ok("init --no-key");
        desk
    }

    fn serve(&mut self) {
        let mut serve = self
            .s
            .command(["--config", &self.config, "serve", "--listen", "127.0.0.1:0"]);
        self.server = Some(serve.stderr(Stdio::null()).spawn().expect("it starts"));
        let end = Instant::now() + Duration::from_secs(60);
        while !self.s.home().join("stella.sock").exists() {
            assert!(Instant::now() < end, "the server does not listen");
            sleep(Duration::from_millis(20));
        }
    }

    fn run(&self, line: &str) -> Ran {
        self.s.run(&format!("--config {} {line}", self.config))
    }

    fn ok(&self, line: &str) -> Ran {
        self.run(line).ends(0)
    }

    /// With this typed into it.
    fn typing(&self, line: &str, text: &str) -> Ran {
        let typed = self.s.file("typed", text);
        let mut command = self.s.command(line.split_whitespace());
        command.stdin(File::open(typed).expect("what is typed"));
        let output = command.output().expect("the binary runs");
        Ran {
            command: line.to_owned(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn attest(&self, name: &str, ends: i32) -> Ran {
        let digest = "a".repeat(64);
        self.run(&format!(
            "attest create --type test --subject pkg:npm/{name}@1@sha256:{digest}"
        ))
        .ends(ends)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

#[test]
fn a_connection_is_cut_found_and_restored_as_the_runbook_says() {
    let mut token = Token::soft_hsm("prod");
    let link = Link::before(&mut token);
    let desk = Desk::new(&token);
    desk.attest("well", 0);

    // Quick checks and deep diagnosis, while all is well.
    desk.ok("doctor --check check.crypto.hsm-availability")
        .says("module primary: prod-a signed and verified in");
    desk.ok("crypto hsm status").says("✓ connected").says("prod-a");
    desk.ok("crypto hsm test").says("✓ Key prod-a signs");
    desk.ok("crypto hsm pkcs11-status")
        .says("✓ Library loaded")
        .says("✓ Slot available")
        .says("✓ Session active: logged in to prod");
    desk.ok("crypto hsm ping").says("✓ primary");
    desk.ok("crypto hsm logs --last 30m").says("hsm");
    desk.ok("crypto hsm slots list").says("prod").says("logged-in");
    desk.ok("crypto hsm verify")
        .says("✓ Configuration")
        .says("✓ Algorithm supported: profile default");

    // The way is cut: nothing is lost, and each command says so.
    link.stop_tunnel();
    desk.attest("cut", 5).says("signing failed");
    desk.run("doctor --check check.crypto.hsm-availability")
        .ends(1)
        .says("HSM unavailable")
        .says("next: stella crypto hsm connectivity --verbose");
    desk.run("crypto hsm status").ends(0).says("✗ not connected");
    desk.run("crypto hsm test").ends(1).says("HSM unavailable");
    desk.run("crypto hsm ping").ends(1).says("✗ primary");
    desk.run("crypto hsm pkcs11-status").ends(1).says("✗");
    desk.run("crypto hsm connectivity --verbose")
        .ends(1)
        .says("✗")
        .says("because: ");
    desk.run("crypto hsm reconnect").ends(6).says("HSM unavailable");
    desk.ok("crypto hsm logs --level error --last 30m")
        .says("HSM unavailable");
    desk.ok("attest config set signing.mode software")
        .says("Software signing may not meet compliance requirements");
    desk.ok("attest reload");
    desk.ok("config unset signing.mode");

    // The way is there again.
    link.start_tunnel();
    desk.ok("crypto hsm reconnect").says("✓ Key prod-a signs");
    desk.ok("crypto hsm connectivity --verbose")
        .says("✓ Session active");
    desk.ok("crypto hsm config set session.timeout 300s")
        .says("session.timeout = 300s  (runtime)");
    desk.ok("crypto hsm reconnect");
    desk.ok("crypto hsm config set session.keepalive true");
    desk.ok("crypto hsm config set session.keepalive_interval 60s");
    desk.ok("crypto hsm config get pkcs11.library_path")
        .says(&token.module().display().to_string());
    desk.run("crypto hsm config set pkcs11.library_path /tmp/other.so")
        .ends(2)
        .says("hsm.modules.NAME.libraryPath");
    desk.ok("crypto hsm pkcs11-reload").says("✓ Key prod-a signs");
    desk.ok("crypto hsm pkcs11-info")
        .says("SHA256-ECDSA-P256 is supported");

    // Verification, and what was recorded meanwhile.
    desk.ok("crypto hsm test");
    desk.ok("attest test-sign");
    desk.ok("keys verify prod-a --operation sign");
    desk.ok("attest retry --failed");
    desk.ok("verify attestation --last").says("PASS");
    desk.ok("doctor --check check.attestor.signing-health --check check.crypto.hsm-availability");
}

/// The runbook for signatures that fail, where an HSM is why.
#[test]
fn signatures_fail_because_of_the_hsm_and_nothing_is_lost() {
    let mut token = Token::soft_hsm("prod");
    let link = Link::before(&mut token);
    let mut desk = Desk::configured(
        &[("primary", &token)],
        "allowSoftware: true, backups: [{key: prod-soft}]",
    );
    desk.ok("keys generate --profile default --key-id prod-a");
    desk.ok("keys generate --profile default --key-id prod-soft --standby --key-store software://");
    desk.ok("anchor create --purl-pattern pkg:npm/* --key-ids prod-a,prod-soft");
    desk.ok("anchor create --purl-pattern test:* --key-ids prod-a,prod-soft");
    desk.serve();
    desk.ok("attest config set signing.mode hsm");

    // Symptoms, quick checks, deep diagnosis.
    link.stop_tunnel();
    desk.attest("release", 5)
        .says("signing failed")
        .says("HSM unavailable");
    desk.run("doctor --check check.attestor.signing-health")
        .ends(1)
        .says("profile default: ")
        .says("next: stella ");
    desk.ok("attest status").says("1 recorded without a signature");
    desk.ok("keys list --type signing --status active").says("prod-a");
    desk.run("attest test-sign --verbose")
        .ends(6)
        .says("HSM unavailable")
        .says("next: stella ");
    desk.run("keys verify prod-a --operation sign")
        .ends(6)
        .says("HSM unavailable");
    desk.run("doctor --check check.crypto.hsm-availability")
        .ends(1)
        .says("HSM unavailable");
    desk.ok("keys list --expiring-within 7d");

    // Immediate mitigation: what was recorded is signed, and marked.
    desk.ok("attest config set signing.mode software")
        .says("Software signing may not meet compliance requirements");
    desk.ok("attest reload");
    desk.ok("attest retry --failed --last 1h").says("1 signed");
    desk.ok("verify attestation --last")
        .says("PASS")
        .says("prod-soft");

    // Root cause fix.
    desk.run("crypto hsm verify").ends(1).says("✗");
    link.start_tunnel();
    desk.ok("crypto hsm reconnect").says("✓ Key prod-a signs");
    desk.ok("crypto hsm verify").says("✓ Configuration");
    desk.ok("attest config unset signing.mode");

    // Verification, and what the standby key signed is signed anew.
    desk.ok("attest test-sign").says("prod-a");
    desk.ok("attest create --type test --subject test:verification")
        .says("prod-a");
    desk.ok("verify attestation --last").says("PASS");
    desk.ok("attest logs --level error --last 30m")
        .says("HSM unavailable");
    desk.ok("attest list --signed-by-standby").says("prod-soft");
    desk.ok("attest resign --signed-by-standby --yes").says("prod-a");
    let digest = "a".repeat(64);
    desk.ok(&format!(
        "verify artifact --digest sha256:{digest} --purl pkg:npm/release@1"
    ))
    .says("PASS")
    .says("prod-a");
    desk.ok("doctor --check check.attestor.signing-health");
}

/// "Use backup HSM if configured."
#[test]
fn signing_is_moved_to_the_backup_by_hand_and_moves_by_itself() {
    let mut token = Token::soft_hsm("prod");
    let link = Link::before(&mut token);
    let spare = Token::soft_hsm("spare");
    let modules = [("primary", &token), ("backup", &spare)];
    let mut desk = Desk::configured(&modules, "backups: [{key: prod-b}]");
    desk.ok("keys generate --profile default --key-id prod-a");
    desk.ok("keys generate --profile default --key-id prod-b --standby --key-store hsm://pkcs11/token/spare?module=backup");
    desk.ok("anchor create --purl-pattern pkg:npm/* --key-ids prod-a");
    desk.serve();

    desk.run("crypto hsm failover --to backup")
        .ends(1)
        .says("accepts prod-a and not prod-b")
        .says("next: stella anchor add-key --anchor-id");
    desk.ok("anchor add-key --anchor-id ALL --key-id prod-b --yes");
    desk.ok("crypto hsm failover --to backup")
        .says("profile default signs with prod-b")
        .says("give it back: stella crypto hsm failover --to auto");
    desk.attest("moved", 0).says("prod-b");
    desk.ok("attest status")
        .says("signing was moved to module backup");
    desk.run("doctor --check check.attestor.signing-health")
        .ends(0)
        .says("signing was moved by hand: default to backup");
    desk.ok("config get hsm.failover").says("backup");
    desk.ok("crypto hsm failover --to auto")
        .says("profile default signs with prod-a");
    desk.attest("back", 0).says("prod-a");

    // And without anybody: the way to the first token is cut.
    link.stop_tunnel();
    for name in ["one", "two", "three", "four"] {
        desk.attest(name, 0).says("prod-b");
    }
    desk.ok("crypto hsm status --module primary")
        .says("open")
        .says("(HSM module primary, token prod (")
        .says("✗ not connected");
    desk.ok("crypto hsm status --module backup")
        .says("closed")
        .says("(HSM module backup, token spare (");
}

#[test]
fn a_pin_that_was_changed_is_found_out_with_one_try_and_put_right() {
    let mut token = Token::soft_hsm("prod");
    let slot = token.slot().id;
    let desk = Desk::new(&token);
    desk.attest("well", 0);
    desk.ok("crypto hsm auth verify")
        .says("the PIN was accepted by token prod");

    token.change_pin("77321");
    desk.run("crypto hsm auth verify")
        .ends(6)
        .says("PKCS#11 operation failed")
        .says("CKR_PIN_INCORRECT");
    // Known to be wrong, it is not tried again until somebody says so.
    let again = desk.run("crypto hsm auth verify").ends(6);
    assert!(!again.stderr.contains("CKR_PIN_INCORRECT"), "{again:?}");
    desk.run("crypto hsm auth verify --force")
        .ends(6)
        .says("CKR_PIN_INCORRECT");

    let update = format!("crypto hsm auth update --slot {slot}");
    desk.run(&update).ends(2).says("no PIN was given");
    desk.typing(&update, "00000\n").ends(6).says("CKR_PIN_INCORRECT");
    desk.typing(&update, "77321\n")
        .ends(0)
        .says("the PIN was accepted by token prod")
        .says("write the new PIN into")
        .says("after a restart");
    // The server signs with it, and its file is put right.
    desk.attest("updated", 0);
    desk.s.file("pin-primary", "77321\n");
    desk.ok("crypto hsm reconnect");
    desk.ok("crypto hsm auth verify");
    let again = desk.typing(&update, "77321\n").ends(0);
    assert!(!again.stderr.contains("restart"), "{again:?}");
    desk.ok("crypto hsm test");
}

/// Each command is a process of its own here: none has seen the token accept
/// anything.
#[test]
fn a_pin_that_was_just_typed_is_tried_whatever_became_of_the_one_before() {
    let mut token = Token::soft_hsm("prod");
    let faults = Faults::before(&mut token);
    let desk = Desk::configured(&[("primary", &token)], "allowSoftware: false");
    let slot = token.slot().id;
    faults.set("C_Login abort");
    for _ in 0..2 {
        desk.run("crypto hsm auth verify").ends(6);
    }
    // Cards lock at the third wrong PIN: that one is not made by itself.
    faults.set("C_Login count\nC_GetTokenInfo flags 0x10000");
    desk.run("crypto hsm auth verify").ends(6).says("had no answer");
    assert_eq!(faults.used(0), 0);
    let update = format!("--config {} crypto hsm auth update --slot {slot}", desk.config);
    desk.typing(&update, &format!("{}\n", token.pin()))
        .ends(0)
        .says("the PIN was accepted by token prod");
    desk.ok("crypto hsm auth verify");
}

#[test]
fn two_logins_without_an_answer_are_the_last_that_nobody_asked_for() {
    let mut token = Token::soft_hsm("prod");
    let faults = Faults::before(&mut token);
    let desk = Desk::configured(&[("primary", &token)], "allowSoftware: false");
    faults.set("C_Login count\nC_Login abort");
    for _ in 0..5 {
        desk.run("crypto hsm auth verify").ends(6);
    }
    assert_eq!(faults.used(0), 2);
}
