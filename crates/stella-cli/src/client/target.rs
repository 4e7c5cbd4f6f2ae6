//! Which instance a command talks to, in this order: the server that was
//! named; the home that was named (its socket if a server runs there, else
//! embedded); the machine's server; the user's own home.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use stella_server::home::{Home, HomeError};
use stella_server::instance::{Instance, InstanceError, OpenMode, OpenOptions};
use tokio::net::UnixStream;

use super::transport::{Base, Transport};
use super::{ClientError, Timeouts};

/// Where the machine's server listens.
pub const SYSTEM_SOCKET: &str = "/run/stella/stella.sock";

#[derive(Clone)]
pub struct TargetOptions {
    /// `--server`, `STELLA_SERVER`.
    pub server: Option<String>,
    /// `--home`, `STELLA_HOME`.
    pub home: Option<PathBuf>,
    /// `--config`, for an embedded instance.
    pub config: Option<PathBuf>,
    /// `--token`, `STELLA_TOKEN`; goes only over TLS or loopback.
    pub token: Option<String>,
    pub system_socket: PathBuf,
    pub user_home: Option<PathBuf>,
    pub timeouts: Timeouts,
    /// The command looks after the store: it may open one that servers share.
    pub upkeep: bool,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self {
            server: None,
            home: None,
            config: None,
            token: None,
            system_socket: PathBuf::from(SYSTEM_SOCKET),
            user_home: user_home(),
            timeouts: Timeouts::default(),
            upkeep: false,
        }
    }
}

/// The token is left out.
impl fmt::Debug for TargetOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetOptions")
            .field("server", &self.server)
            .field("home", &self.home)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// `$XDG_DATA_HOME/stella`, else `~/.local/share/stella`.
pub fn user_home() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("stella"))
}

/// What the command talks to, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    Embedded { home: PathBuf },
    Socket { path: PathBuf },
    Url { url: String },
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { home } => write!(f, "{} (embedded)", home.display()),
            Self::Socket { path } => write!(f, "{}", path.display()),
            Self::Url { url } => f.write_str(url),
        }
    }
}

pub(super) struct Found {
    pub transport: Transport,
    pub reached: Reached,
    pub notes: Vec<String>,
}

pub(super) async fn find(options: &TargetOptions) -> Result<Found, ClientError> {
    // A script whose variable came out empty meant an instance; guessing
    // another one would sign in the wrong place.
    if options.server.as_deref() == Some("") {
        return Err(ClientError::usage(
            "STELLA_SERVER (or --server) is set but empty; unset it or give a URL",
        ));
    }
    if options.home.as_deref().is_some_and(|h| h.as_os_str().is_empty()) {
        return Err(ClientError::usage(
            "STELLA_HOME (or --home) is set but empty; unset it or give a folder",
        ));
    }
    if let Some(url) = options.server.as_deref() {
        return named_server(url);
    }
    if let Some(home) = options.home.as_deref() {
        return at_home(home, options).await;
    }
    if options.system_socket.exists() {
        return system_server(&options.system_socket).await;
    }
    match &options.user_home {
        Some(home) if is_home(home) => at_home(home, options).await,
        _ => Err(ClientError::NoTarget),
    }
}

fn named_server(url: &str) -> Result<Found, ClientError> {
    let base: Base = url.parse().map_err(ClientError::Usage)?;
    Ok(Found {
        reached: Reached::Url {
            url: base.to_string(),
        },
        transport: Transport::network(base),
        notes: Vec::new(),
    })
}

async fn system_server(socket: &Path) -> Result<Found, ClientError> {
    match UnixStream::connect(socket).await {
        Ok(_) => Ok(over_socket(socket)),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Err(ClientError::SocketDenied(socket.to_owned()))
        }
        Err(e) => Err(ClientError::Unreachable {
            place: socket.display().to_string(),
            why: e.to_string(),
        }),
    }
}

/// The lock, not the socket, tells whether a server lives there. Opening the
/// home waits a moment for it, which is also how long a server that has just
/// started is given to make its socket.
async fn at_home(path: &Path, options: &TargetOptions) -> Result<Found, ClientError> {
    let socket = match Home::open(path) {
        Ok(home) => home.socket(),
        Err(e) => return Err(InstanceError::from(e).into()),
    };
    if reaches(&socket).await?.is_ok() {
        return Ok(over_socket(&socket));
    }
    let open = OpenOptions {
        config: options.config.clone(),
    };
    let mode = match options.upkeep {
        true => OpenMode::Upkeep,
        false => OpenMode::Embedded,
    };
    match Instance::open(path, mode, &open).await {
        Ok(instance) => embedded(path, &socket, instance),
        Err(InstanceError::Home(HomeError::InUse(_))) => match reaches(&socket).await? {
            Ok(()) => Ok(over_socket(&socket)),
            Err(source) => Err(ClientError::SocketRefuses { socket, source }),
        },
        Err(e) => Err(e.into()),
    }
}

/// The inner error is one that a dead server explains.
async fn reaches(socket: &Path) -> Result<std::io::Result<()>, ClientError> {
    match UnixStream::connect(socket).await {
        Ok(_) => Ok(Ok(())),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            Err(ClientError::SocketDenied(socket.to_owned()))
        }
        Err(e) => Ok(Err(e)),
    }
}

/// With the lock in hand no server can be behind the socket, nor start.
fn embedded(path: &Path, socket: &Path, instance: Instance) -> Result<Found, ClientError> {
    let mut notes = Vec::new();
    match std::fs::remove_file(socket) {
        Ok(()) => notes.push(format!(
            "removed {}: the server that made it is gone",
            socket.display()
        )),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => notes.push(format!("{} is stale and stays: {e}", socket.display())),
    }
    Ok(Found {
        transport: Transport::embedded(instance),
        reached: Reached::Embedded {
            home: path.to_owned(),
        },
        notes,
    })
}

fn over_socket(socket: &Path) -> Found {
    Found {
        transport: Transport::socket(socket.to_owned()),
        reached: Reached::Socket {
            path: socket.to_owned(),
        },
        notes: Vec::new(),
    }
}

/// One that `init` made; a folder that is something else is left alone.
fn is_home(path: &Path) -> bool {
    !matches!(
        Home::open(path),
        Err(HomeError::Missing(_) | HomeError::Foreign(_))
    )
}
