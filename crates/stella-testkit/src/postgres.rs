//! A PostgreSQL of a test's own: a private cluster in a temporary folder,
//! reached by its Unix socket alone, durable as in production.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Runs until it is dropped, or whoever started it dies, however that happens.
pub struct Postgres {
    keeper: Child,
    /// How it was started.
    command: Vec<OsString>,
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    databases: AtomicU32,
}

/// Whom a server across a network is.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Holds `NAME.pem` and `NAME.key`.
    pub folder: &'a Path,
    pub name: &'a str,
}

/// The server refuses to run as root.
const UNPRIVILEGED: &str = "postgres";

const SUPERUSER: &str = "postgres";

const DEFAULT_PORT: u16 = 5432;

const START: Duration = Duration::from_secs(60);

/// Holds the server: an end of standard input is the end of the starter, who
/// may have said before that the folder is still used.
const KEEPER: &str = r#"folder=$1; shift; "$@" & server=$!
word=$(cat); kill -INT $server 2>/dev/null; wait $server; [ "$word" = keep ] || rm -rf -- "$folder""#;

impl Postgres {
    /// On its socket alone.
    pub fn start() -> Self {
        Self::start_with(DEFAULT_PORT, &["-c", "listen_addresses="], None)
    }

    /// On a port of this machine as well, where passwords are asked for; with
    /// TLS if it has an identity.
    pub fn on_the_network(identity: Option<Identity<'_>>) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("a free port").port();
        Self::start_with(port, &["-c", "listen_addresses=127.0.0.1"], identity)
    }

    fn start_with(port: u16, how: &[&str], identity: Option<Identity<'_>>) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new()
            .prefix("stella-pg-")
            .tempdir()
            .expect("a folder for a cluster");
        give_to_the_unprivileged(folder.path());
        let data = folder.path().join("data");
        let mut initialise = unprivileged(&programs.join("initdb"));
        initialise.args([
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--username",
            SUPERUSER,
        ]);
        succeed(initialise.arg("--pgdata").arg(&data));

        let mut server = unprivileged(&programs.join("postgres"));
        if let Some(identity) = identity {
            for (ending, setting) in [("pem", "ssl_cert_file"), ("key", "ssl_key_file")] {
                let from = identity.folder.join(format!("{}.{ending}", identity.name));
                let to = folder.path().join(format!("server.{ending}"));
                std::fs::copy(from, &to).expect("a copy");
                std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).expect("chmod");
                give_to_the_unprivileged(&to);
                server.args(["-c", &format!("{setting}={}", to.display())]);
            }
            server.args(["-c", "ssl=on"]);
        }
        let mut command = vec![server.get_program().to_owned()];
        command.extend(server.get_args().map(ToOwned::to_owned));
        command.extend([
            "-D".into(),
            data.into_os_string(),
            "-k".into(),
            folder.path().into(),
        ]);
        command.extend(how.iter().map(OsString::from));
        command.extend(["-p", &port.to_string(), "-c", "max_connections=50"].map(OsString::from));
        let server = Self {
            keeper: keeper(folder.path(), &command),
            command,
            programs,
            folder,
            port,
            databases: AtomicU32::new(0),
        };
        server.await_readiness();
        server
    }

    /// The server, then all that work for it.
    fn processes(&self) -> Vec<String> {
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).expect("a running server");
        let main = text.lines().next().expect("a process id").to_owned();
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().map(str::to_owned);
        [main].into_iter().chain(children).collect()
    }

    /// To every process of the server.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<(), String> {
        for process in self.processes() {
            let id = process.parse().ok().and_then(rustix::process::Pid::from_raw);
            // One that has just ended is as good.
            let _ = rustix::process::kill_process(id.ok_or("no process id")?, signal);
        }
        Ok(())
    }

    /// The server and all that work for it are killed at once, as by a loss of
    /// power that the disk survives; then it is started again.
    pub fn crash(&mut self) {
        let all = self.processes();
        self.signal(rustix::process::Signal::KILL).expect("killed");
        if let Some(mut word) = self.keeper.stdin.take() {
            word.write_all(b"keep").expect("said");
        }
        self.keeper.wait().expect("it ends");
        while all[1..]
            .iter()
            .any(|process| Path::new("/proc").join(process).exists())
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.keeper = keeper(self.folder.path(), &self.command);
        self.await_readiness();
    }

    /// A new, empty database; its name.
    pub fn database(&self) -> String {
        let n = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{n}");
        self.psql("postgres", SUPERUSER, &format!("CREATE DATABASE {name}"))
            .expect("a database");
        name
    }

    /// A new database that is as `template` is, to which nobody is connected.
    pub fn copy_of(&self, template: &str) -> String {
        let n = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{n}");
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.psql("postgres", SUPERUSER, &sql).expect("a database");
        name
    }

    /// How the superuser reaches a database.
    pub fn url(&self, database: &str) -> String {
        self.url_as(SUPERUSER, database)
    }

    pub fn url_as(&self, user: &str, database: &str) -> String {
        format!(
            "postgres://{user}@/{database}?host={}&port={}",
            self.socket().display(),
            self.port
        )
    }

    /// Across the network; the password is what [`Self::password`] set.
    pub fn network_url(&self, host: &str, database: &str) -> String {
        format!("postgres://{SUPERUSER}@{host}:{}/{database}", self.port)
    }

    pub fn password(&self, password: &str) {
        let sql = format!("ALTER ROLE {SUPERUSER} PASSWORD '{password}'");
        self.psql("postgres", SUPERUSER, &sql).expect("a password");
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// What the statements print, or why they failed.
    pub fn psql(&self, database: &str, user: &str, sql: &str) -> Result<String, String> {
        let output = self
            .program("psql")
            .args([
                "-XqtA",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                user,
                "-d",
                database,
                "-c",
                sql,
            ])
            .output()
            .map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// `pg_dump` and the like, told where this server is.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command
            .arg("-h")
            .arg(self.socket())
            .args(["-p", &self.port.to_string(), "-U", SUPERUSER]);
        command
    }

    fn await_readiness(&self) {
        let begun = Instant::now();
        while let Err(why) = self.psql("postgres", SUPERUSER, "SELECT 1") {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < START,
                "PostgreSQL does not answer: {why}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Gone already, or it will be: there is nobody to tell.
        let _ = self.keeper.wait();
    }
}

fn keeper(folder: &Path, server: &[OsString]) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log");
    Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .args(server)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("a shell")
}

/// The newest version that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("initdb").is_file().then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
        .expect("no PostgreSQL on this machine; ./test installs it")
}

fn unprivileged(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            UNPRIVILEGED,
            "--regid",
            UNPRIVILEGED,
            "--clear-groups",
            "--",
        ]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

fn give_to_the_unprivileged(folder: &Path) {
    if is_root() {
        let owner = format!("{UNPRIVILEGED}:{UNPRIVILEGED}");
        succeed(Command::new("chown").arg(owner).arg(folder));
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
