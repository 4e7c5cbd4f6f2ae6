//! `stella demo`: the whole story in a fresh home, told with the very
//! commands a user would type. Every line of output is real.

mod provenance;
mod sbom;

use std::fs;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stella_core::digest::Sha256;

/// What the demo was built from; the subject of its own SBOM.
const LOCK: &str = include_str!("../../../../Cargo.lock");

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("`{command}` ended with {code}, where the demo expects {expected}")]
    Step {
        command: String,
        code: i32,
        expected: i32,
    },
    #[error("the demo could not read the id in the output of `{0}`")]
    NoId(String),
}

/// Where the demo works and what it is told from outside.
#[derive(Debug, Clone)]
pub struct Setting {
    /// This very program.
    pub exe: PathBuf,
    /// Made by the demo; must not exist.
    pub folder: PathBuf,
    /// RFC 3339.
    pub now: String,
    /// A random UUID.
    pub serial: String,
}

/// Plays the story. Whatever happens, the home stays for the user to look at.
pub fn run(setting: &Setting, out: &mut dyn Write) -> Result<(), DemoError> {
    match Stage::set(setting, out)?.play(setting) {
        // Whoever read has seen enough.
        Err(DemoError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        played => played,
    }
}

struct Stage<'a> {
    exe: &'a Path,
    home: PathBuf,
    /// Empty: what is set on this machine, its store above all, is none of
    /// the demo's.
    config: PathBuf,
    work: PathBuf,
    out: std::cell::RefCell<&'a mut dyn Write>,
}

impl<'a> Stage<'a> {
    fn set(setting: &'a Setting, out: &'a mut dyn Write) -> Result<Self, DemoError> {
        let work = setting.folder.join("work");
        let config = setting.folder.join("signer.yaml");
        let mut private = fs::OpenOptions::new();
        private.write(true).create_new(true).mode(0o600);
        fs::create_dir_all(&work)
            .and_then(|()| private.open(&config))
            .map_err(|source| DemoError::Io {
                what: setting.folder.display().to_string(),
                source,
            })?;
        Ok(Self {
            exe: &setting.exe,
            home: setting.folder.join("home"),
            config,
            work,
            out: std::cell::RefCell::new(out),
        })
    }

    fn play(&self, setting: &Setting) -> Result<(), DemoError> {
        let version = env!("CARGO_PKG_VERSION");
        let purl = format!("pkg:generic/stella@{version}");
        let binary = self.exe.display().to_string();
        let digest = self.digest_of(self.exe)?;
        let by_digest = format!("sha256:{digest}");
        let sbom = sbom::cyclonedx(
            LOCK,
            "stella",
            version,
            &purl,
            &digest,
            &setting.now,
            &setting.serial,
        );
        let provenance = provenance::slsa(
            &Sha256::of(LOCK.as_bytes()).to_hex(),
            version,
            &setting.serial,
            &setting.now,
        );
        let sbom = self.write("stella.cdx.json", &sbom)?;
        let provenance = self.write("stella.provenance.json", &provenance)?;
        let bundle = self.work.join("stella.cdx.bundle.json").display().to_string();

        self.say("A home, a key, and an anchor that says whose word counts for this package.")?;
        self.stella(&["init", "--no-key"], 0)?;
        self.stella(
            &[
                "keys",
                "generate",
                "--profile",
                "default",
                "--key-id",
                "release-1",
            ],
            0,
        )?;
        self.stella(
            &[
                "anchor",
                "create",
                "--purl-pattern",
                "pkg:generic/stella",
                "--key-ids",
                "release-1",
                "--predicate-types",
                "cyclonedx,slsaprovenance1",
            ],
            0,
        )?;

        self.say("Sign what is known about a real artifact: this binary, its SBOM and its provenance.")?;
        let first = self.stella(
            &[
                "attest",
                "create",
                "--type",
                "cyclonedx",
                "--subject",
                &binary,
                "--purl",
                &purl,
                "--predicate",
                &sbom,
                "--bundle",
                &bundle,
            ],
            0,
        )?;
        let second = self.stella(
            &[
                "attest",
                "create",
                "--type",
                "slsaprovenance1",
                "--subject",
                &binary,
                "--purl",
                &purl,
                "--predicate",
                &provenance,
            ],
            0,
        )?;
        self.say("The gate of a release pipeline: exit code 0, or the release stops.")?;
        let gate = [
            "verify",
            "artifact",
            "--digest",
            &by_digest,
            "--purl",
            &purl,
            "--require-type",
            "cyclonedx",
            "--require-type",
            "slsaprovenance1",
        ];
        self.stella(&gate, 0)?;

        self.say("Rotate. The new key takes over once the anchor holds it; the old proof still passes.")?;
        self.stella(
            &[
                "keys",
                "generate",
                "--profile",
                "default",
                "--key-id",
                "release-2",
            ],
            0,
        )?;
        self.stella(
            &[
                "anchor",
                "add-key",
                "--anchor-id",
                "ALL",
                "--key-id",
                "release-2",
                "--yes",
            ],
            0,
        )?;
        self.stella(&["keys", "list"], 0)?;
        self.stella(&gate, 0)?;

        self.say("Now suppose that somebody stole the old key. Nothing it signed is proven any more (exit code 11).")?;
        self.stella(
            &["keys", "revoke", "release-1", "--reason", "compromise", "--yes"],
            0,
        )?;
        self.stella(&gate, 11)?;
        self.stella(&["keys", "impact", "release-1"], 0)?;

        self.say(
            "The ledger knows both signatures as ours. Somebody looks at them, and they are signed again.",
        )?;
        for id in [attestation_id(&first), attestation_id(&second)] {
            let id = id.ok_or_else(|| DemoError::NoId("stella attest create".to_owned()))?;
            self.stella(
                &[
                    "attest",
                    "resign",
                    &id,
                    "--reviewed",
                    "compared with the build log",
                ],
                0,
            )?;
        }
        self.stella(&gate, 0)?;
        self.say("Every step is on record.")?;
        self.stella(&["audit", "query", "--type", "KEY_*"], 0)?;
        self.farewell(&by_digest, &purl)
    }

    fn farewell(&self, digest: &str, purl: &str) -> Result<(), DemoError> {
        self.print(&format!(
            "\nThe home stays. Go on with:\n\n  export STELLA_HOME={} STELLA_CONFIG={}\n  stella verify artifact --digest {digest} --purl {purl} -o json\n  stella attest list\n  stella anchor explain {purl}\n  stella serve\n",
            self.home.display(),
            self.config.display()
        ))
    }

    /// Shows the command, runs it, shows what it says.
    fn stella(&self, arguments: &[&str], expected: i32) -> Result<String, DemoError> {
        let shown: Vec<String> = arguments.iter().map(|a| quoted(a)).collect();
        let command = format!("stella {}", shown.join(" "));
        self.print(&format!("\n$ {command}\n"))?;
        let (text, code) = self.told(arguments).map_err(|source| DemoError::Io {
            what: command.clone(),
            source,
        })?;
        self.print(&text)?;
        if code == expected {
            Ok(text)
        } else {
            Err(DemoError::Step {
                command,
                code,
                expected,
            })
        }
    }

    /// Both streams in one, as a terminal shows them, and the exit code.
    fn told(&self, arguments: &[&str]) -> io::Result<(String, i32)> {
        let (mut reader, writer) = io::pipe()?;
        let mut child = Command::new(self.exe)
            .args(arguments)
            .env("STELLA_HOME", &self.home)
            .env("STELLA_CONFIG", &self.config)
            .env_remove("STELLA_STORE")
            .env_remove("STELLA_SERVER")
            .env_remove("STELLA_TOKEN")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        Ok((text, child.wait()?.code().unwrap_or(-1)))
    }

    fn say(&self, line: &str) -> Result<(), DemoError> {
        self.print(&format!("\n# {line}\n"))
    }

    fn print(&self, text: &str) -> Result<(), DemoError> {
        self.out
            .borrow_mut()
            .write_all(text.as_bytes())
            .map_err(|source| DemoError::Io {
                what: "standard output".to_owned(),
                source,
            })
    }

    fn write(&self, name: &str, document: &serde_json::Value) -> Result<String, DemoError> {
        let path = self.work.join(name);
        let text = format!("{document:#}\n");
        fs::write(&path, text).map_err(|source| DemoError::Io {
            what: path.display().to_string(),
            source,
        })?;
        Ok(path.display().to_string())
    }

    fn digest_of(&self, path: &Path) -> Result<String, DemoError> {
        let bytes = fs::read(path).map_err(|source| DemoError::Io {
            what: path.display().to_string(),
            source,
        })?;
        Ok(Sha256::of(&bytes).to_hex())
    }
}

/// The first UUID in the text.
fn attestation_id(text: &str) -> Option<String> {
    text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
        .find(|word| word.len() == 36 && word.matches('-').count() == 4)
        .map(str::to_owned)
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{argument}'")
    }
}
