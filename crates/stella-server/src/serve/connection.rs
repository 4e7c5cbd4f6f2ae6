//! Connections: who is at the other end, how many, how long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::tls;
use crate::config::ServerSettings;
use crate::http::peer::Peer;
use crate::user;

/// After accepting failed, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Connections {
    router: Router,
    header_read_timeout: Duration,
    slots: Arc<Semaphore>,
    max: u32,
    /// True once no new request is to be read.
    stopped: watch::Receiver<bool>,
    cut: Arc<watch::Sender<bool>>,
}

impl Connections {
    pub fn new(router: Router, settings: &ServerSettings, stopped: watch::Receiver<bool>) -> Self {
        let max = u32::try_from(settings.max_connections)
            .unwrap_or(u32::MAX)
            .clamp(1, 1_000_000);
        Self {
            router,
            header_read_timeout: settings.header_read_timeout,
            slots: Arc::new(Semaphore::new(max as usize)),
            max,
            stopped,
            cut: Arc::new(watch::Sender::new(false)),
        }
    }

    /// The kernel says who is at the other end (unix(7), SO_PEERCRED).
    pub async fn accept_local(self, listener: UnixListener) {
        loop {
            let Some(slot) = self.slot().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => match local_peer(&stream) {
                    Ok(peer) => self.serve(stream, peer, slot),
                    Err(e) => tracing::warn!("a local connection without credentials was closed: {e}"),
                },
                Err(e) => pause(&e).await,
            }
        }
    }

    pub async fn accept_network(self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        loop {
            let Some(slot) = self.slot().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    match &tls {
                        Some(tls) => self.secure(tls.clone(), stream, slot),
                        None => self.serve(stream, Peer::Network, slot),
                    }
                }
                Err(e) => pause(&e).await,
            }
        }
    }

    /// A handshake holds up nobody else, and takes no longer than a head may.
    fn secure(&self, acceptor: TlsAcceptor, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let connections = self.clone();
        tokio::spawn(async move {
            match tls::handshake(&acceptor, stream, connections.header_read_timeout).await {
                Ok(stream) => connections.serve(stream, Peer::Network, slot),
                Err(e) => tracing::debug!("a TLS handshake failed: {e}"),
            }
        });
    }

    pub async fn all_closed(&self) {
        let _ = self.slots.acquire_many(self.max).await;
    }

    pub fn open(&self) -> usize {
        (self.max as usize).saturating_sub(self.slots.available_permits())
    }

    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Taken before accepting: past the bound, clients wait in the kernel's queue.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    fn serve<S>(&self, stream: S, peer: Peer, slot: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let (mut stopped, mut cut) = (self.stopped.clone(), self.cut.subscribe());
        tokio::spawn(async move {
            let _slot = slot;
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = turned(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => ended,
                        () = turned(&mut cut) => return,
                    }
                }
            };
            if let Err(e) = ended {
                tracing::debug!("a connection ended early: {e}");
            }
        });
    }
}

/// Until it is true, or nobody is left who could make it so.
pub async fn turned(switch: &mut watch::Receiver<bool>) {
    let _ = switch.wait_for(|on| *on).await;
}

fn local_peer(stream: &UnixStream) -> std::io::Result<Peer> {
    let uid = stream.peer_cred()?.uid();
    Ok(Peer::Local {
        uid,
        user: user::name(uid),
    })
}

async fn pause(error: &std::io::Error) {
    tracing::warn!("a connection could not be accepted: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
