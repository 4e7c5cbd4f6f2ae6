//! The two places to listen on.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener, lookup_host};

use super::ServeError;

/// Only the holder of the home's exclusive lock may call it: what lies at the
/// path is then left over from a server that is gone.
pub fn unix(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |source| ServeError::Listen {
        place: path.display().to_string(),
        source,
    };
    match std::fs::remove_file(path) {
        Ok(()) => tracing::info!(socket = %path.display(), "removed the socket of a server that is gone"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // The home itself is closed to others, so nobody got in between.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Every address that the name stands for is asked, not the name.
pub async fn tcp(address: &str, open_allowed: bool) -> Result<TcpListener, ServeError> {
    let unreadable = |_| ServeError::Address(address.to_owned());
    let found: Vec<SocketAddr> = lookup_host(address).await.map_err(unreadable)?.collect();
    if found.is_empty() {
        return Err(ServeError::Address(address.to_owned()));
    }
    if let Some(open) = found.iter().find(|a| !a.ip().to_canonical().is_loopback())
        && !open_allowed
    {
        return Err(ServeError::PlainHttp(*open));
    }
    TcpListener::bind(found.as_slice())
        .await
        .map_err(|source| ServeError::Listen {
            place: address.to_owned(),
            source,
        })
}
