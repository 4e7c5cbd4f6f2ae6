//! The worker's process, as its parent sees it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::MARK;

/// What is started, and with which environment: nothing of ours is inherited.
#[derive(Debug, Clone)]
pub struct Launch {
    /// This very program when there is none, even when its file was replaced.
    pub program: Option<PathBuf>,
    /// Shown by `ps`.
    pub title: String,
    pub env: BTreeMap<String, String>,
}

/// Hears of the process from the thread that watches over it.
pub trait Watch: Send {
    /// A line that it wrote to stderr.
    fn line(&mut self, line: &str);

    /// The last thing that is heard.
    fn ended(&mut self, how: &str);
}

pub struct Process {
    pid: u32,
    pidfd: OwnedFd,
    exit: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl Process {
    /// Starts it, with one end of a new socket as its stdin. The other end is
    /// returned.
    pub fn spawn(launch: &Launch, watch: Box<dyn Watch>) -> io::Result<(Arc<Self>, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let launch = launch.clone();
        let (tell, told) = mpsc::sync_channel(1);
        // The worker dies with the thread that started it, so this one lives
        // as long as the worker.
        thread::Builder::new()
            .name(format!("{} watch", launch.title))
            .spawn(move || match start(&launch, theirs) {
                Ok((process, child)) => {
                    let _ = tell.send(Ok(Arc::clone(&process)));
                    process.watch(child, watch);
                }
                Err(e) => {
                    let _ = tell.send(Err(e));
                }
            })?;
        let process = told.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok((process, ours))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGKILL. It never hits another process: the descriptor names this one.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    pub fn has_ended(&self) -> bool {
        self.exit().is_some()
    }

    /// False when it still runs at the deadline.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let mut exit = self.exit();
        while exit.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            exit = self
                .ended
                .wait_timeout(exit, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn exit(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, mut child: Child, mut watch: Box<dyn Watch>) {
        let mut stderr = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let mut lines = Lines::default();
        loop {
            let mut fds = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
            if let Some(stderr) = &stderr {
                fds.push(PollFd::new(stderr, PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => break,
            }
            let exited = !fds[0].revents().is_empty();
            let spoke = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            if spoke && !lines.read(&mut stderr, &mut *watch) {
                stderr = None;
            } else if exited && !spoke {
                break;
            }
        }
        let status = child.wait();
        let how = match &status {
            Ok(status) => describe(*status),
            Err(e) => format!("ended, and how is not known: {e}"),
        };
        // Whoever waits for the end finds out why.
        watch.ended(&how);
        *self.exit() = Some(status.unwrap_or_else(|_| ExitStatus::from_raw(0)));
        self.ended.notify_all();
    }
}

fn start(launch: &Launch, stdin: UnixStream) -> io::Result<(Arc<Process>, Child)> {
    let program = launch.program.as_deref().unwrap_or(Path::new("/proc/self/exe"));
    let mut child = Command::new(program)
        .args([MARK, &launch.title])
        .env_clear()
        .envs(&launch.env)
        .stdin(Stdio::from(OwnedFd::from(stdin)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // What a terminal sends to us is not for the worker.
        .process_group(0)
        .spawn()?;
    let watched = || {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok::<_, io::Error>(pidfd_open(
            pid.ok_or(io::ErrorKind::NotFound)?,
            PidfdFlags::empty(),
        )?)
    };
    let pidfd = match watched() {
        Ok(pidfd) => pidfd,
        Err(e) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(e);
        }
    };
    let process = Process {
        pid: child.id(),
        pidfd,
        exit: Mutex::default(),
        ended: Condvar::new(),
    };
    Ok((Arc::new(process), child))
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(6), _) => "aborted (SIGABRT)".to_owned(),
        (Some(7), _) => "crashed (SIGBUS)".to_owned(),
        (Some(9), _) => "was killed (SIGKILL)".to_owned(),
        (Some(11), _) => "crashed (SIGSEGV)".to_owned(),
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, code) => format!("ended with exit code {}", code.unwrap_or_default()),
    }
}

/// Lines of a pipe, cut where they are too long.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// False at the end of the pipe.
    fn read(&mut self, pipe: &mut Option<File>, watch: &mut dyn Watch) -> bool {
        let mut chunk = [0; 4096];
        let read = pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(&mut chunk));
        let read = match read {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return true,
            Err(_) => 0,
        };
        self.0.extend_from_slice(&chunk[..read]);
        while let Some(end) = self.0.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            say(&line[..end], watch);
        }
        if self.0.len() > MAX_LINE || read == 0 {
            say(&std::mem::take(&mut self.0), watch);
        }
        read > 0
    }
}

fn say(line: &[u8], watch: &mut dyn Watch) {
    let line = &line[..line.len().min(MAX_LINE)];
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end();
    if !line.is_empty() {
        watch.line(line);
    }
}

/// How long a killed process may take to be gone before nobody waits for it.
pub const REAP: Duration = Duration::from_secs(1);
const MAX_LINE: usize = 1024;
