//! The real binary, run as a user would, in a home of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Stella {
    exe: PathBuf,
    folder: tempfile::TempDir,
}

/// What one command did.
#[derive(Debug)]
pub struct Ran {
    pub command: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Stella {
    /// `exe` is `env!("CARGO_BIN_EXE_stella")` or its twin. Nothing is in the home yet.
    pub fn new(exe: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("stella-test-")
            .tempdir()
            .expect("a temporary folder");
        Self {
            exe: exe.into(),
            folder,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A file in the folder, for predicates and artifacts.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// A command with this home and nothing else of the caller's environment
    /// that could name an instance.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join("user"))
            .env("STELLA_HOME", self.home())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &str) -> Ran {
        self.run_with(line, &[])
    }

    /// Splits like a shell without quoting; `environment` is added.
    pub fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(line.split_whitespace());
        command.envs(environment.iter().copied());
        let output = command.output().expect("the binary runs");
        Ran {
            command: line.to_owned(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    }

    /// Runs what must succeed.
    pub fn ok(&self, line: &str) -> Ran {
        self.run(line).ends(0)
    }

    pub fn json(&self, line: &str) -> serde_json::Value {
        self.run(&format!("{line} -o json")).json()
    }
}

impl Ran {
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "`{}`\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            said,
            "`{}` does not say {text:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| {
            panic!(
                "`{}` is no JSON ({e})\n--- stdout\n{}\n--- stderr\n{}",
                self.command, self.stdout, self.stderr
            )
        })
    }
}
