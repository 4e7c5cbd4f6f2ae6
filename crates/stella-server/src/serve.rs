//! `stella serve`: the instance behind a socket and, if asked for, TCP.

use std::net::SocketAddr;

use crate::instance::Instance;

#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// Listen on this TCP address as well (`server.listen` otherwise).
    pub listen: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {place}: {source}")]
    Listen { place: String, source: std::io::Error },
    #[error("{0} is not an address: write HOST:PORT such as 127.0.0.1:8420")]
    Address(String),
    #[error("{0} is not loopback: plain HTTP would show tokens to the network")]
    PlainHttp(SocketAddr),
}

/// Serves until SIGTERM or SIGINT, then drains.
pub async fn serve(instance: Instance, options: ServeOptions) -> Result<(), ServeError> {
    let (_, _) = (instance, options);
    Ok(())
}
