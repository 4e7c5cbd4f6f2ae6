//! The runbook for HSM connection issues, typed as it stands against a server
//! whose token is at the other end of a connection that is cut and restored.

use std::fs::File;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stella_testkit::binary::{Ran, Stella};
use stella_testkit::token::{Link, Token};

/// A server whose profile `default` signs on the token.
struct Desk {
    s: Stella,
    config: String,
    server: Option<Child>,
}

impl Desk {
    fn new(token: &Token) -> Self {
        let s = Stella::new(env!("CARGO_BIN_EXE_stellaops"));
        let pin = s.file("pin", token.pin());
        let (name, value) = &token.environment()[0];
        let config = s.file(
            "signer.yaml",
            format!(
                r#"
signer:
  profiles:
    default: {{algorithm: ecdsa-p256, keyStore: "hsm://pkcs11/token/prod", allowSoftware: true}}
hsm:
  modules:
    primary: {{libraryPath: "{}", pinFile: "{pin}", env: {{{name}: "{value}"}}, requestTimeout: 2s}}
"#,
                token.module().display()
            ),
        );
        let mut desk = Self {
            s,
            config,
            server: None,
        };
        desk.ok("init --no-key");
        desk.ok("keys generate --profile default --key-id prod-a");
        desk.ok("anchor create --purl-pattern pkg:npm/* --key-ids prod-a");
        let mut serve = desk
            .s
            .command(["--config", &desk.config, "serve", "--listen", "127.0.0.1:0"]);
        desk.server = Some(serve.stderr(Stdio::null()).spawn().expect("it starts"));
        let end = Instant::now() + Duration::from_secs(60);
        while !desk.s.home().join("stella.sock").exists() {
            assert!(Instant::now() < end, "the server does not listen");
            sleep(Duration::from_millis(20));
        }
        desk
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
    desk.s.file("pin", "77321\n");
    desk.ok("crypto hsm reconnect");
    desk.ok("crypto hsm auth verify");
    let again = desk.typing(&update, "77321\n").ends(0);
    assert!(!again.stderr.contains("restart"), "{again:?}");
    desk.ok("crypto hsm test");
}
