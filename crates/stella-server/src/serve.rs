//! `stella serve`: the instance behind a socket and, if asked for, TCP.

mod connection;
mod duties;
mod listener;
mod shield;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::ServerSettings;
use crate::http::health::Draining;
use crate::instance::Instance;
use crate::logging;

use connection::Connections;
use tls::Identity;

#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// Listen on this TCP address as well (`server.listen` otherwise).
    pub listen: Option<String>,
}

/// Where it listens, told once it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    pub socket: PathBuf,
    pub tcp: Option<SocketAddr>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {place}: {source}")]
    Listen { place: String, source: std::io::Error },
    #[error("{0} is not an address: write HOST:PORT such as 127.0.0.1:8420")]
    Address(String),
    #[error("{0} is not loopback: plain HTTP would show tokens to the network")]
    PlainHttp(SocketAddr),
    #[error("TLS cannot be spoken with {}: {why}", path.display())]
    Tls { path: PathBuf, why: String },
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

impl ServeError {
    /// Stable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "server.listen",
            Self::Address(_) => "server.address",
            Self::PlainHttp(_) => "server.plain-http",
            Self::Tls { .. } => "server.tls",
            Self::Signals(_) => "server.signals",
        }
    }

    /// What mends it.
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::Listen { .. } => Some("see who listens there: ss -lntp; or choose another with --listen"),
            Self::PlainHttp(_) => Some(
                "set server.tls.certFile and server.tls.keyFile, put a proxy that speaks TLS before a loopback address, or set server.allowPlainHttp: true",
            ),
            Self::Tls { .. } => Some(
                "look at the pair: openssl x509 -in CERT -noout -pubkey, openssl pkey -in KEY -pubout print the same key",
            ),
            Self::Address(_) | Self::Signals(_) => None,
        }
    }
}

/// Where clients reach this server and no other: as it was told, or where it
/// listens on one address.
fn reached_at(settings: &ServerSettings, listening: &Listening, tls: bool) -> Option<String> {
    if settings.advertise.is_some() {
        return settings.advertise.clone();
    }
    let address = listening.tcp.filter(|a| !a.ip().is_unspecified())?;
    let scheme = if tls { "https" } else { "http" };
    Some(format!("{scheme}://{address}"))
}

/// Serves until SIGTERM or SIGINT, then drains.
pub async fn serve(instance: Instance, options: ServeOptions) -> Result<(), ServeError> {
    logging::to_stderr();
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve_until(instance, options, stop, |_| {}).await
}

/// Serves until `stop` is done. `ready` hears once both places are open.
pub async fn serve_until(
    instance: Instance,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&Listening),
) -> Result<(), ServeError> {
    let app = Arc::clone(instance.app());
    let settings = app.settings.server.clone();
    let socket_path = instance.home().socket();
    let identity = settings.tls.as_ref().map(Identity::read).transpose()?;
    let acceptor = identity.as_ref().map(Identity::acceptor).transpose()?;
    let open_allowed = settings.allow_plain_http || acceptor.is_some();
    let tcp = match options.listen.as_ref().or(settings.listen.as_ref()) {
        Some(address) => Some(listener::tcp(address, open_allowed).await?),
        None => None,
    };
    let unix = listener::unix(&socket_path)?;
    let listening = Listening {
        socket: socket_path.clone(),
        tcp: tcp.as_ref().and_then(|t| t.local_addr().ok()),
    };

    let draining = Draining::default();
    let (stopping, stopped) = watch::channel(false);
    let router = shield::around(instance.router(), &settings, draining.clone());
    let connections = Connections::new(router, &settings, stopped.clone());
    let duties = tokio::spawn(duties::run(Arc::clone(&app), stopped.clone()));
    let mut accepting = vec![tokio::spawn(connections.clone().accept_local(unix))];
    if let Some(tcp) = tcp {
        accepting.push(tokio::spawn(
            connections.clone().accept_network(tcp, acceptor.clone()),
        ));
    }
    if let Some(identity) = identity {
        tokio::spawn(identity.follow(stopped));
    }
    if let Some(url) = reached_at(&settings, &listening, acceptor.is_some()) {
        // Set once: it listens once.
        let _ = app.replica.url.set(url);
    }
    tell_systemd(NotifyState::Ready);
    tracing::info!(
        socket = %listening.socket.display(),
        tcp = listening.tcp.map(tracing::field::display),
        tls = acceptor.is_some(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    ready(&listening);

    stop.await;
    tell_systemd(NotifyState::Stopping);
    tracing::info!("stopping: answering what has begun, taking nothing new");
    draining.begin();
    if listening.tcp.is_some() {
        // Whoever watches /readyz needs a moment to look elsewhere.
        tokio::time::sleep(settings.drain_delay).await;
    }
    for task in accepting {
        task.abort();
    }
    // Gone before the work is: a client that comes now meets no socket rather
    // than one that does not answer.
    remove(&socket_path);
    stopping.send_replace(true);
    drain(&connections, duties, settings.shutdown_grace).await;
    Ok(())
}

async fn drain(connections: &Connections, mut duties: tokio::task::JoinHandle<()>, grace: Duration) {
    let both = async {
        connections.all_closed().await;
        let _ = (&mut duties).await;
    };
    if timeout(grace, both).await.is_ok() {
        tracing::info!("stopped");
        return;
    }
    tracing::warn!(
        open = connections.open(),
        "stopped with connections still open after server.shutdownGrace"
    );
    connections.cut();
    duties.abort();
}

fn remove(socket: &std::path::Path) {
    if let Err(e) = std::fs::remove_file(socket) {
        tracing::warn!(socket = %socket.display(), "the socket stays behind: {e}");
    }
}

/// Without systemd there is nobody to tell.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(e) = sd_notify::notify(&[state]) {
        tracing::warn!("systemd could not be told: {e}");
    }
}
