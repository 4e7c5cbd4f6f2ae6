//! `stella serve` as a service manager and the network see it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stella_testkit::binary::Stella;
use stella_testkit::certificate::self_signed;

/// Killed when the test ends, however it ends.
struct Serving {
    process: Child,
    log: BufReader<ChildStderr>,
}

impl Serving {
    fn start(s: &Stella, arguments: &[&str], environment: &[(&str, &Path)]) -> Self {
        let mut process = s
            .command([&["serve"], arguments].concat())
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = BufReader::new(process.stderr.take().expect("piped"));
        Self { process, log }
    }

    /// The port, from the line that says where it listens.
    fn port(&mut self) -> u16 {
        let mut read = String::new();
        loop {
            let from = read.len();
            assert_ne!(self.log.read_line(&mut read).expect("a line"), 0, "{read}");
            if let Some((_, rest)) = read[from..].split_once("tcp=127.0.0.1:") {
                let port = rest.split_whitespace().next().and_then(|p| p.parse().ok());
                return port.expect("a port");
            }
        }
    }

    fn terminate(&self) {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), Signal::TERM).expect("it is there");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Self-signed, for this machine.
fn certificate(folder: &Path, name: &str) {
    self_signed(folder, name, "critical,CA:FALSE");
}

fn with_tls(certificate: &str, key: &str) -> String {
    format!("server: {{tls: {{certFile: {certificate}, keyFile: {key}}}}}\n")
}

#[test]
fn a_token_travels_only_inside_tls_that_the_client_trusts() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    s.ok("init");
    certificate(s.folder(), "ours");
    certificate(s.folder(), "other");
    let path = |name: &str| s.folder().join(name).display().to_string();
    s.file("home/signer.yaml", with_tls(&path("ours.pem"), &path("ours.key")));
    let mut serving = Serving::start(&s, &["--listen", "127.0.0.1:0"], &[]);
    let port = serving.port();
    let token = s
        .ok("token create --role verifier --name v --expires 1d -q")
        .stdout;

    let status = format!(
        "attest status --server https://127.0.0.1:{port} --token {}",
        token.trim()
    );
    s.run_with(&status, &[("SSL_CERT_FILE", &path("ours.pem"))])
        .ends(0)
        .says("(server)");
    s.run_with(&status, &[("SSL_CERT_FILE", &path("other.pem"))])
        .ends(6)
        .says("SSL_CERT_FILE");
    let in_clear = format!("attest status --server http://127.0.0.1:{port}");
    let in_clear = s.run(&in_clear).says("ask https://");
    assert_ne!(in_clear.code, 0, "it speaks TLS alone");
}

/// What `openssl req -x509` makes is an authority.
#[test]
fn a_certificate_of_the_wrong_kind_is_said_to_be() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    s.ok("init");
    self_signed(s.folder(), "ours", "critical,CA:TRUE");
    let path = |name: &str| s.folder().join(name).display().to_string();
    s.file("home/signer.yaml", with_tls(&path("ours.pem"), &path("ours.key")));
    let mut serving = Serving::start(&s, &["--listen", "127.0.0.1:0"], &[]);
    let status = format!("attest status --server https://127.0.0.1:{}", serving.port());
    s.run_with(&status, &[("SSL_CERT_FILE", &path("ours.pem"))])
        .ends(6)
        .says("CA:FALSE");
}

#[test]
fn a_pair_that_does_not_fit_is_refused_before_it_listens() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    s.ok("init");
    certificate(s.folder(), "ours");
    certificate(s.folder(), "other");
    let path = |name: &str| s.folder().join(name).display().to_string();
    for (certificate, key) in [
        ("ours.pem", "other.key"),
        ("ours.key", "ours.key"),
        ("ours.pem", "ours.pem"),
        ("ours.pem", "none.key"),
    ] {
        s.file("home/signer.yaml", with_tls(&path(certificate), &path(key)));
        s.run("serve --listen 127.0.0.1:0").ends(2).says("openssl x509");
    }
}

/// sd_notify(3): one datagram when it listens, one when it stops.
#[test]
fn a_service_manager_hears_when_it_is_ready_and_when_it_stops() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    s.ok("init");
    let notices = s.folder().join("notify");
    let socket = UnixDatagram::bind(&notices).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a bound");
    let heard = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("a notice");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut serving = Serving::start(&s, &[], &[("NOTIFY_SOCKET", &notices)]);
    assert!(heard().contains("READY=1"));
    s.ok("attest status").says("(server)");
    serving.terminate();
    assert!(heard().contains("STOPPING=1"));
    assert!(serving.process.wait().expect("it ends").success());
    assert!(!s.home().join("stella.sock").exists());
}

/// The order of the system calls themselves: what an answer promises was
/// written to the log and synced before the answer's first byte left.
#[test]
fn no_answer_leaves_before_what_it_promises_is_on_disk() {
    let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
    s.ok("init");
    let mut serving = Serving::start(&s, &["--listen", "127.0.0.1:0"], &[]);
    serving.port();
    let log = s.folder().join("calls");
    let Some(mut strace) = Strace::attach(serving.process.id(), &log) else {
        return;
    };
    // One after the other: what others have not synced yet says nothing here.
    let promises = [
        "attest create --type test --subject test:durable",
        "keys generate --profile fips --key-id fips-1",
        "anchor create --purl-pattern pkg:npm/* --key-ids fips-1",
    ];
    for promise in promises {
        s.ok(promise);
    }
    strace.stop();
    let calls = std::fs::read_to_string(&log).expect("a log of calls");
    let mut answers = 0;
    let mut unsynced = None;
    let mut writes = 0;
    for call in calls.lines() {
        if call.contains("stella.db-wal>") && call.contains("pwrite64(") {
            unsynced = Some(call);
            writes += 1;
        } else if synced(call) {
            unsynced = None;
        } else if call.contains("\"HTTP/1.1 201") {
            assert_eq!(unsynced, None, "written and not synced when this left: {call}");
            answers += 1;
        }
    }
    assert_eq!(answers, promises.len(), "{calls}");
    assert!(writes >= answers, "{calls}");
}

/// A sync of the log that has come back; one that another thread's call
/// interrupts in the listing ends on a line of its own.
fn synced(call: &str) -> bool {
    let whole = call.contains("stella.db-wal>") && call.contains("sync(");
    (whole || call.contains("sync resumed>")) && call.ends_with("= 0")
}

struct Strace(Child);

impl Strace {
    /// `None` where nobody may trace.
    fn attach(process: u32, log: &Path) -> Option<Self> {
        let strace = Command::new("strace")
            .args(["-f", "-y", "-s", "24", "-p", &process.to_string(), "-o"])
            .arg(log)
            .args(["-e", "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg"])
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut strace) = strace else {
            eprintln!("skipped: strace is not installed");
            return None;
        };
        let mut said = String::new();
        let mut lines = BufReader::new(strace.stderr.take().expect("piped"));
        lines.read_line(&mut said).expect("it says whether it could");
        if !said.contains("attached") {
            eprintln!("skipped: tracing is not allowed here: {said}");
            let _ = strace.wait();
            return None;
        }
        // It says more when it ends, and must find somebody to tell.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Some(Self(strace))
    }

    /// What was called until now is in the log then.
    fn stop(&mut self) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ = kill_process(id.expect("a process id"), Signal::INT);
        let _ = self.0.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.stop();
    }
}
