//! TLS for the network: certificate and key from files, read again when they
//! change, so that a renewed certificate needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ServeError;
use super::connection::turned;
use crate::config::TlsFiles;

const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What new connections are answered with.
#[derive(Debug)]
pub struct Identity {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Identity {
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>, ServeError> {
        Ok(Arc::new(Self {
            files: files.clone(),
            current: RwLock::new(Arc::new(certified(files)?)),
        }))
    }

    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ServeError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| self.files.wrong(&self.files.certificate, e))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// A pair that cannot be used is said so and the one before goes on: half
    /// of it may have been written just now.
    pub async fn follow(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = turned(&mut stopped) => return,
                _ = looks.tick() => self.look_again(),
            }
        }
    }

    fn look_again(&self) {
        match certified(&self.files) {
            Ok(read) if read.cert == self.present().cert => {}
            Ok(read) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                tracing::info!(certificate = %self.files.certificate.display(), "the TLS certificate was renewed");
            }
            Err(e) => tracing::warn!("{e}; the TLS certificate read before stays in use"),
        }
    }

    fn present(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl rustls::server::ResolvesServerCert for Identity {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present())
    }
}

pub async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    patience: Duration,
) -> std::io::Result<TlsStream<TcpStream>> {
    timeout(patience, acceptor.accept(stream))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certified(files: &TlsFiles) -> Result<CertifiedKey, ServeError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| files.wrong(&files.certificate, e))?;
    if chain.is_empty() {
        return Err(files.wrong(&files.certificate, "it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| files.wrong(&files.key, e))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| files.wrong(&files.key, e))
}

impl TlsFiles {
    fn wrong(&self, path: &Path, why: impl std::fmt::Display) -> ServeError {
        ServeError::Tls {
            path: PathBuf::from(path),
            why: why.to_string(),
        }
    }
}
