//! Other people's KMS. It has no ML-DSA and no limits; what it signs with
//! P-256 and Ed25519 it signs right, and it reads requests in its own way.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use stella_keys::conformance::conformance_within;
use stella_keys::{SignError, sign_verified};

use crate::{Client, client_as, reference, shared};

/// `None`, with a notice, only where `./test` said that it could not be had.
fn installed() -> Option<PathBuf> {
    if std::env::var_os("STELLA_WITHOUT_MINISTACK").is_some() {
        eprintln!("skipped: MiniStack could not be installed");
        return None;
    }
    let peers = std::env::var_os("STELLA_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"),
        PathBuf::from,
    );
    let program = peers.join("ministack/bin/ministack");
    assert!(
        program.exists(),
        "{} is not there: ./test installs it, or benches/peers/install target/peers ministack",
        program.display()
    );
    Some(program)
}

struct MiniStack {
    process: Child,
    endpoint: String,
    _folder: tempfile::TempDir,
}

impl MiniStack {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("an address");
        let process = Command::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .env("SERVICES", "kms")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", free.port().to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("MiniStack runs");
        Self {
            process,
            endpoint: format!("http://{free}"),
            _folder: folder,
        }
    }

    /// Once it answers.
    fn client(&self) -> Client {
        let client = client_as("test", "test", &self.endpoint, |_| {});
        for _ in 0..600 {
            match client.kms.find(&reference("nobody")) {
                Ok(None) => return client,
                Err(SignError::Unavailable(_) | SignError::TimedOut(_)) => {
                    thread::sleep(Duration::from_millis(100));
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("MiniStack does not answer at {}", self.endpoint);
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn ministack_makes_finds_and_signs_with_p256_and_ed25519() {
    let Some(program) = installed() else { return };
    let ministack = MiniStack::start(&program);
    let client = ministack.client();
    let made = std::cell::Cell::new(0);
    conformance_within(
        |algorithm| match stella_keys::aws_kms::message_limit(algorithm) {
            Some(limit) => 1..=limit,
            None => 0..=usize::MAX,
        },
        |algorithm| {
            ["SHA256-ED25519", "SHA256-ECDSA-P256"]
                .contains(&algorithm.id())
                .then(|| {
                    made.set(made.get() + 1);
                    shared(client.create(algorithm.id(), &format!("suite-{}", made.get())))
                })
        },
    );
    assert_eq!(made.get(), 4, "two keys of two algorithms");
    for n in 1..=4 {
        let by_alias = client
            .kms
            .find(&reference(&format!("suite-{n}")))
            .expect("an answer")
            .expect("the key");
        let by_arn = client
            .kms
            .find(&reference(&by_alias.arn))
            .expect("an answer")
            .expect("the key");
        assert_eq!(by_alias.public_key, by_arn.public_key);
        let key = client
            .kms
            .key(&by_alias.at, by_alias.public_key)
            .expect("a signer");
        sign_verified(&key, b"message").expect("by its id");
    }
}
