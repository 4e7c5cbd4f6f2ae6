//! `stella serve` on a home of its own, as a pipeline meets it: TCP, a token.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::load::Target;
use super::{target, text};

pub struct Server {
    exe: PathBuf,
    home: PathBuf,
    child: Option<Child>,
    port: u16,
    token: String,
}

impl Server {
    /// With a profile, a key and an anchor for each algorithm; in this database,
    /// or in a file of its own.
    pub fn start(
        exe: &Path,
        folder: &Path,
        algorithms: &[&str],
        database: Option<&str>,
    ) -> Result<Self, String> {
        let exe = exe
            .canonicalize()
            .map_err(|e| format!("{}: {e}", exe.display()))?;
        let home = folder.join("home").canonicalize().unwrap_or(folder.join("home"));
        let stella = |arguments: &[&str]| said(&exe, &home, arguments);
        match database {
            None => stella(&["init", "--no-key"])?,
            Some(url) => stella(&["init", "--no-key", "--store", url])?,
        };
        let store = database
            .map(|url| format!("store: {{url: \"{url}\"}}\n"))
            .unwrap_or_default();
        let profiles: Vec<String> = algorithms
            .iter()
            .map(|algorithm| {
                format!("    {algorithm}: {{algorithm: {algorithm}, keyStore: \"software://\"}}\n")
            })
            .collect();
        std::fs::write(
            home.join("signer.yaml"),
            format!("{store}signer:\n  profiles:\n{}", profiles.concat()),
        )
        .map_err(text)?;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .map_err(text)?
            .port();
        // First: where many share a store, its commands want a server.
        let mut child = listen(&exe, &home, port)?;
        let mut keys = Vec::new();
        for algorithm in algorithms {
            let key = format!("{KEY}{algorithm}");
            stella(&["keys", "generate", "--profile", algorithm, "--key-id", &key])?;
            stella(&["keys", "activate", &key])?;
            keys.push(key);
        }
        stella(&[
            "anchor",
            "create",
            "--purl-pattern",
            "pkg:generic/*",
            "--predicate-types",
            "slsaprovenance1",
            "--key-ids",
            &keys.join(","),
        ])?;
        let token = stella(&[
            "token",
            "create",
            "--role",
            "signer",
            "--purl",
            "pkg:generic/*",
            "--types",
            "slsaprovenance1",
            "-q",
        ])?;
        Ok(Self {
            exe,
            home,
            child: child.0.take(),
            port,
            token: token.trim().to_owned(),
        })
    }

    pub fn target(&self, profile: &str) -> Target {
        target(self.port, profile, Some(self.token.clone()))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it stored holds.
    pub fn stop(mut self) -> Result<(), String> {
        if let Some(mut child) = self.child.take() {
            child.kill().map_err(text)?;
            child.wait().map_err(text)?;
        }
        said(&self.exe, &self.home, &["db", "verify"]).map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Listening(self.child.take()));
    }
}

/// Ends with the bench, however that ends.
struct Listening(Option<Child>);

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn listen(exe: &Path, home: &Path, port: u16) -> Result<Listening, String> {
    let child = command(exe, home, &["serve", "--listen", &format!("127.0.0.1:{port}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(text)?;
    let mut listening = Listening(Some(child));
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = match &mut listening.0 {
            Some(child) => child.try_wait().map_err(text)?.is_some(),
            None => true,
        };
        if begun.elapsed() > PATIENCE || ended {
            return Err("stella serve does not listen".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(listening)
}

pub fn said(exe: &Path, home: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = command(exe, home, arguments).output().map_err(text)?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("stella {}: {}", arguments.join(" "), why.trim()));
    }
    String::from_utf8(output.stdout).map_err(text)
}

fn command(exe: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(exe);
    command
        .args(arguments)
        .env_clear()
        .env("STELLA_HOME", home)
        .stdin(Stdio::null());
    command
}

/// And the algorithm: the keys that sign.
pub const KEY: &str = "bench-";
const PATIENCE: Duration = Duration::from_secs(20);
