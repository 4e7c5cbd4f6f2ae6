//! A token at the other end of a network: p11-kit's server where the token is,
//! its client module where the signer is, and between them a TCP connection
//! that can be cut, frozen and restored.
//!
//! p11-kit passes ECDSA on and nothing newer.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Token, installed};

#[derive(Debug)]
pub struct Link {
    /// As it is where the token is.
    module: PathBuf,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    address: SocketAddrV4,
    server: Mutex<Option<Child>>,
    tunnel: Mutex<Vec<Child>>,
}

impl Link {
    /// Moves the token to the other end: from now on its module is p11-kit's
    /// client, and its environment that of the client.
    pub fn before(token: &mut Token) -> Self {
        let folder = token.folder().join("link");
        std::fs::create_dir(&folder).expect("a folder for sockets");
        let near = folder.join("near.sock");
        let link = Self {
            module: std::mem::replace(&mut token.module, installed::library("p11-kit-client.so")),
            environment: std::mem::take(&mut token.environment),
            folder,
            address: own_address(),
            server: Mutex::default(),
            tunnel: Mutex::default(),
        };
        let address = format!("unix:path={}", near.display());
        token
            .environment
            .push(("P11_KIT_SERVER_ADDRESS".to_owned(), address));
        link.start_server();
        link.start_tunnel();
        link
    }

    /// Kills what serves the connections that there are: each is reset, and
    /// new ones are accepted.
    pub fn cut(&self) {
        for remote in self.remotes() {
            signal(remote, Signal::KILL);
        }
        self.wait("the connections to end", || self.remotes().is_empty());
    }

    /// Freezes the connections that there are: nothing comes back, and
    /// nothing says so.
    pub fn freeze(&self) {
        self.remotes()
            .into_iter()
            .for_each(|remote| signal(remote, Signal::STOP));
    }

    pub fn thaw(&self) {
        self.remotes()
            .into_iter()
            .for_each(|remote| signal(remote, Signal::CONT));
    }

    /// Ends the server; the tunnel is up, with nothing behind it.
    pub fn stop_server(&self) {
        end(self.server.lock().expect("the server").take());
        for remote in self.remotes() {
            signal(remote, Signal::KILL);
        }
    }

    pub fn start_server(&self) {
        let socket = self.far();
        let _ = std::fs::remove_file(&socket);
        let mut server = tied("p11-kit");
        server.args(["server", "--foreground", "--name"]).arg(&socket);
        server.arg("--provider").arg(&self.module).arg("pkcs11:");
        server.env(MARK, &self.folder);
        server.envs(self.environment.iter().map(|(name, value)| (name, value)));
        *self.server.lock().expect("the server") = Some(start(&mut server));
        self.wait("p11-kit's server", || socket.exists());
    }

    /// Ends the tunnel: connections are refused.
    pub fn stop_tunnel(&self) {
        self.tunnel
            .lock()
            .expect("the tunnel")
            .drain(..)
            .for_each(|child| end(Some(child)));
        let _ = std::fs::remove_file(self.near());
        self.cut();
    }

    pub fn start_tunnel(&self) {
        let (host, port) = (self.address.ip(), self.address.port());
        let listen = format!("TCP-LISTEN:{port},bind={host},reuseaddr,nodelay,fork");
        let far = format!("UNIX-CONNECT:{}", self.far().display());
        let near = format!("UNIX-LISTEN:{},fork", self.near().display());
        let connect = format!("TCP:{host}:{port},nodelay");
        let mut tunnel = self.tunnel.lock().expect("the tunnel");
        tunnel.push(start(tied("socat").args([listen, far])));
        tunnel.push(start(tied("socat").args([near, connect])));
        self.wait("the tunnel", || self.near().exists() && listens(self.address));
    }

    fn near(&self) -> PathBuf {
        self.folder.join("near.sock")
    }

    fn far(&self) -> PathBuf {
        self.folder.join("far.sock")
    }

    /// The processes that serve one connection each. They outlive the server,
    /// and are known by a variable that they have from it.
    fn remotes(&self) -> Vec<Pid> {
        let mark = format!("{MARK}={}\0", self.folder.display());
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter(|process| is_remote(&process.path(), mark.as_bytes()))
            .filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    #[track_caller]
    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.remotes()
            .into_iter()
            .for_each(|remote| signal(remote, Signal::KILL));
        if let Ok(mut server) = self.server.lock() {
            end(server.take());
        }
        if let Ok(mut tunnel) = self.tunnel.lock() {
            tunnel.drain(..).for_each(|child| end(Some(child)));
        }
    }
}

fn is_remote(process: &Path, mark: &[u8]) -> bool {
    let name = std::fs::read(process.join("comm")).unwrap_or_default();
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    name.starts_with(b"p11-kit-remote") && environment.windows(mark.len()).any(|part| part == mark)
}

/// A command that ends when the thread that starts it does.
fn tied(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

fn start(command: &mut Command) -> Child {
    // What they say of connections that break is what a test asked for.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; ./test installs it"))
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn signal(process: Pid, signal: Signal) {
    // It may have ended meanwhile.
    let _ = kill_process(process, signal);
}

/// A port of a loopback address that no other link has: while the tunnel is
/// down, nobody else can come to listen there.
fn own_address() -> SocketAddrV4 {
    static LINKS: AtomicU32 = AtomicU32::new(0);
    let link = LINKS.fetch_add(1, Ordering::Relaxed) % 16;
    let host = Ipv4Addr::from(0x7f00_0000 | (std::process::id() & 0xf_ffff) << 4 | link);
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    SocketAddrV4::new(host, port)
}

/// Asked of the kernel: a connection would start a process at the other end.
fn listens(address: SocketAddrV4) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    // As the kernel writes it: the host in the machine's own byte order.
    let host = u32::from_ne_bytes(address.ip().octets());
    let address = format!("{host:08X}:{:04X}", address.port());
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&address) && words.nth(1) == Some("0A")
    })
}

const MARK: &str = "STELLA_LINK";
const PATIENCE: Duration = Duration::from_secs(20);
