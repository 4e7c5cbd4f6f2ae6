//! Whole commands, from their start to their end, in turns: what a gate waits
//! for. Beside ours, other people's clients verifying the same bundle.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use stella_testkit::binary::Stella;

use crate::figures::{figure, median, ratio};

const PURL: &str = "pkg:npm/left-pad@1.3.0";

pub struct Effort {
    pub rounds: usize,
    pub exe: PathBuf,
    /// Where `benches/peers/install` put them.
    pub peers: PathBuf,
    pub scripts: PathBuf,
}

pub fn run(effort: &Effort) -> Result<(), String> {
    let exe = effort.exe.to_str().ok_or("the program's path is not UTF-8")?;
    let stella = Stella::new(exe);
    let gate = Gate::set_up(&stella);
    let mut contenders = vec![
        Contender::new("start", || stella.command(["--version"])),
        Contender::new("offline-verify", || gate.offline()),
        Contender::new("create", || gate.create()),
        Contender::new("verify", || gate.verify()),
    ];
    for peer in gate.peers(effort) {
        contenders.push(peer);
    }
    for contender in &mut contenders {
        contender.peak = Some(peak(&effort.exe, &(contender.command)())?);
    }
    for _ in 0..effort.rounds {
        for contender in &mut contenders {
            contender.once()?;
        }
    }
    for contender in &contenders {
        let mut sorted = contender.millis.clone();
        sorted.sort_by(f64::total_cmp);
        let least = sorted.first().copied().unwrap_or(f64::NAN);
        let most = sorted.last().copied().unwrap_or(f64::NAN);
        let name = contender.name;
        figure(&format!("cold.{name}"), median(sorted), "ms");
        figure(&format!("cold.{name}.least"), least, "ms");
        figure(&format!("cold.{name}.most"), most, "ms");
        if let Some(peak) = contender.peak {
            figure(&format!("cold.{name}.peak"), peak, "MiB");
        }
    }
    let of = |name: &str| {
        contenders
            .iter()
            .find(|c| c.name == name)
            .map(|c| median(c.millis.clone()))
    };
    let ours = of("offline-verify").unwrap_or(f64::NAN);
    for peer in ["sigstore-python", "securesystemslib", "sigstore-js"] {
        match of(peer) {
            Some(theirs) => ratio(&format!("cold.{peer}-to-offline-verify"), theirs / ours),
            None => println!("skipped cold.{peer}: it is not installed"),
        }
    }
    Ok(())
}

/// One home, one signed artifact, and what a verifier without network takes along.
struct Gate<'a> {
    stella: &'a Stella,
    artifact: String,
    sbom: String,
    bundle: String,
    key: String,
    trust: String,
    root: String,
}

impl<'a> Gate<'a> {
    fn set_up(stella: &'a Stella) -> Self {
        let place = |name: &str| stella.folder().join(name).display().to_string();
        let components: Vec<_> = (0..15)
            .map(|n| {
                format!(
                    r#"{{"type":"library","name":"part-{n}","version":"1.{n}.0","purl":"pkg:npm/part-{n}@1.{n}.0"}}"#
                )
            })
            .collect();
        let gate = Self {
            artifact: stella.file("left-pad-1.3.0.tgz", [0x5a; 4096]),
            sbom: stella.file(
                "sbom.json",
                format!(
                    r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{}]}}"#,
                    components.join(",")
                ),
            ),
            bundle: place("bundle.json"),
            key: place("key.pem"),
            trust: place("trust.json"),
            root: place("root.json"),
            stella,
        };
        stella.ok("init");
        stella.ok("keys generate --algorithm ecdsa-p256 --key-id build");
        stella.ok("anchor create --purl-pattern pkg:npm/* --key-ids build");
        let Self {
            artifact,
            sbom,
            bundle,
            key,
            trust,
            root,
            ..
        } = &gate;
        stella.ok(&format!(
            "attest create --type cyclonedx --subject {artifact} --purl {PURL} --predicate {sbom} --profile fips --bundle {bundle}"
        ));
        std::fs::write(key, stella.ok("keys show build --public").stdout).expect("a file");
        stella.ok(&format!("trust root --out {root}"));
        stella.ok(&format!("trust export --out {trust}"));
        gate
    }

    fn offline(&self) -> Command {
        self.stella.command([
            "verify",
            "artifact",
            "--file",
            &self.artifact,
            "--purl",
            PURL,
            "--require-type",
            "cyclonedx",
            "--bundle",
            &self.bundle,
            "--offline",
            "--trust-bundle",
            &self.trust,
            "--trust-root",
            &self.root,
        ])
    }

    fn verify(&self) -> Command {
        self.stella
            .command(["verify", "artifact", "--file", &self.artifact, "--purl", PURL])
    }

    /// Signed anew each time, durable in the home when it ends.
    fn create(&self) -> Command {
        self.stella.command([
            "attest",
            "create",
            "--type",
            "cyclonedx",
            "--subject",
            &self.artifact,
            "--purl",
            PURL,
            "--predicate",
            &self.sbom,
            "--profile",
            "fips",
            "--force",
        ])
    }

    /// Those that are installed.
    fn peers(&self, effort: &Effort) -> Vec<Contender<'_>> {
        let python = effort.peers.join("python/bin/python");
        let node = effort.peers.join("node");
        let mut peers = Vec::new();
        let mut add = |name, program: PathBuf, script: PathBuf| {
            let command = move || {
                let mut command = Command::new(&program);
                command.args([&script, Path::new(&self.bundle), Path::new(&self.key)]);
                command
            };
            peers.push(Contender::new(name, command));
        };
        if python.exists() {
            let script = |name: &str| effort.scripts.join(name);
            add("sigstore-python", python.clone(), script("sigstore_verify.py"));
            add("securesystemslib", python, script("securesystemslib_verify.py"));
        }
        if node.join("node_modules").exists() {
            // Node looks for packages beside the script.
            let script = node.join("sigstore_verify.mjs");
            if std::fs::copy(effort.scripts.join("sigstore_verify.mjs"), &script).is_ok() {
                add("sigstore-js", PathBuf::from("node"), script);
            }
        }
        peers
    }
}

struct Contender<'a> {
    name: &'static str,
    command: Box<dyn Fn() -> Command + 'a>,
    millis: Vec<f64>,
    peak: Option<f64>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, command: impl Fn() -> Command + 'a) -> Self {
        Self {
            name,
            command: Box::new(command),
            millis: Vec::new(),
            peak: None,
        }
    }

    fn once(&mut self) -> Result<(), String> {
        let mut command = (self.command)();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let begun = Instant::now();
        let status = command.status().map_err(|e| format!("{}: {e}", self.name))?;
        let took = begun.elapsed();
        if !status.success() {
            return Err(format!("{} ended with {status}", self.name));
        }
        self.millis.push(took.as_secs_f64() * 1e3);
        Ok(())
    }
}

/// Peak resident memory in MiB: the kernel tells it of all children together,
/// so each command has a parent of its own.
pub fn peak(exe: &Path, command: &Command) -> Result<f64, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut parent = Command::new(own);
    parent.arg("--exe").arg(exe).args(["peak", "--"]);
    parent.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => parent.env(name, value),
            None => parent.env_remove(name),
        };
    }
    let output = parent
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("no peak of {:?}", command.get_program()))
}

/// Runs a command and prints its peak.
pub fn print_peak(command: &[String]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| format!("{program}: {e}"))?;
    if !status.success() {
        return Err(format!("{program} ended with {status}"));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    println!("{:.1}", usage.max_rss() as f64 / 1024.0);
    Ok(())
}
