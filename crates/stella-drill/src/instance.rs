//! The real binary on one home.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
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
    environment: Vec<(String, String)>,
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
            environment: Vec::new(),
        }
    }

    /// Of its processes, beside what each needs.
    #[must_use]
    pub fn with_environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment = environment;
        self
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
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
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
            if UnixStream::connect(self.home.join("stella.sock")).is_ok() {
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

/// One header: its name and value.
type Header<'a> = (&'a str, &'a str);

impl Instance {
    /// The status and the body of one request to its server, a JSON document.
    pub fn ask(&self, method: &str, path: &str, headers: &[Header<'_>], body: &str) -> Result<(u16, Value)> {
        let (status, body) = self.raw(method, path, headers, body)?;
        let body = serde_json::from_slice(&body).map_err(|e| Stuck(format!("{method} {path}: {e}")))?;
        Ok((status, body))
    }

    pub fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[Header<'_>],
        body: &str,
    ) -> Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.home.join("stella.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: stella\r\nConnection: close\r\n{headers}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.ok_or_else(|| Stuck(format!("{method} {path} got no whole answer")))?;
        let status = answer
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let status = status.and_then(|digits| digits.parse().ok());
        let status = status.ok_or_else(|| Stuck(format!("{method} {path} got no status")))?;
        Ok((status, answer.split_off(end + 4)))
    }
}

/// Processes that the server started for a module. What they are is the second
/// word of their command line.
pub fn workers(server: u32, module: &str) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| is_worker(Path::new(&format!("/proc/{id}")), server, module))
        .filter_map(Pid::from_raw)
        .collect()
}

fn is_worker(process: &Path, server: u32, module: &str) -> bool {
    let read = |file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
    // Behind the name in brackets: the state, then the parent.
    let stat = read("stat");
    let parent = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(1));
    parent == Some(server.to_string().as_str()) && read("cmdline").split('\0').nth(2) == Some(module)
}

/// With what has no deadline of its own.
const PATIENCE: Duration = Duration::from_secs(30);

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
