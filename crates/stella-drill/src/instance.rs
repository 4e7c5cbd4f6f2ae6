//! The real binary on one home.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Result, Stuck};

#[derive(Debug, Clone)]
pub struct Instance {
    exe: PathBuf,
    home: PathBuf,
}

/// How a command ended that may have been killed.
#[derive(Debug)]
pub enum Ended {
    Acknowledged(String),
    /// With a sentence; it may be repeated.
    Refused(String),
    Killed,
}

impl Instance {
    pub fn new(exe: &Path, home: &Path) -> Self {
        Self {
            exe: exe.into(),
            home: home.into(),
        }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .args(arguments)
            .env_clear()
            .env("STELLA_HOME", &self.home)
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Result<Child> {
        Ok(self.command(arguments).spawn()?)
    }

    /// What must succeed; what the fault left behind may take a moment.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output()?;
        match ended(&output) {
            Ended::Acknowledged(said) => Ok(said),
            other => Err(Stuck(format!("stella {}: {other:?}", arguments.join(" ")))),
        }
    }

    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.command(&[arguments, &["-o", "json"]].concat()).output()?;
        serde_json::from_slice(&output.stdout).map_err(|e| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Stuck(format!("stella {}: {e}: {said}", arguments.join(" ")))
        })
    }

    /// Runs, or is killed after `fuse` if it still runs then.
    pub fn with_fuse(&self, arguments: &[&str], fuse: Option<Duration>) -> Result<Ended> {
        let mut child = self.start(arguments)?;
        if let Some(fuse) = fuse {
            sleep(fuse);
            child.kill()?;
        }
        Ok(ended(&child.wait_with_output()?))
    }

    /// A server that answers on its socket.
    pub fn serve(&self, patience: Duration) -> Result<Child> {
        let mut command = self.command(&["serve"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if std::os::unix::net::UnixStream::connect(self.home.join("stella.sock")).is_ok() {
                return Ok(child);
            }
            if let Some(status) = child.try_wait()? {
                return Err(Stuck(format!("stella serve ended: {status}")));
            }
            sleep(Duration::from_millis(2));
        }
        child.kill()?;
        child.wait()?;
        Err(Stuck("stella serve did not listen".to_owned()))
    }
}

/// SIGTERM, and in good order.
pub fn stop(mut child: Child) -> Result<()> {
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(id, Signal::TERM).map_err(|e| Stuck(e.to_string()))?;
    }
    child.wait()?;
    Ok(())
}

fn ended(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.code() {
        Some(0) => Ended::Acknowledged(text(&output.stdout)),
        Some(code) => Ended::Refused(format!("exit {code}: {}", text(&output.stderr))),
        None => Ended::Killed,
    }
}
