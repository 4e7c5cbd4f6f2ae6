//! TLS to a server: who it has to prove it is.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::url::Tls;
use crate::{Result, StoreError};

/// What every connection to one server is made with.
#[derive(Clone)]
pub(super) struct MakeTls(Option<Arc<ClientConfig>>);

impl MakeTls {
    pub(super) fn new(tls: &Tls) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let judge: Arc<dyn ServerCertVerifier> = match tls {
            Tls::Off => return Ok(Self(None)),
            Tls::Unverified => Arc::new(Leniently {
                authorities: None,
                provider: Arc::clone(&provider),
            }),
            Tls::Verified { authorities, name } => {
                let roots = match authorities {
                    Some(file) => from_file(file)?,
                    None => of_this_machine()?,
                };
                let strictly =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                        .build()
                        .map_err(|e| unusable(e.to_string()))?;
                if *name {
                    strictly
                } else {
                    Arc::new(Leniently {
                        authorities: Some(strictly),
                        provider: Arc::clone(&provider),
                    })
                }
            }
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(judge)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config))))
    }
}

/// What a failed handshake means, and what mends it.
pub(super) fn explained(why: &str) -> Option<&'static str> {
    [
        (
            "does not support TLS",
            "it does not speak TLS; turn it on there: ssl = on in postgresql.conf",
        ),
        (
            "UnknownIssuer",
            "its certificate was issued by an authority that is not trusted here; name the file with that authority's certificate: ?sslrootcert=/FILE",
        ),
        // Another authority of the same name.
        (
            "BadSignature",
            "its certificate was not signed by the authority that is trusted here; name the file with the certificate of the one that did: ?sslrootcert=/FILE",
        ),
        (
            "certificate not valid for name",
            "its certificate is for another name; connect by the name that is in it",
        ),
        (
            "NotValidForName",
            "its certificate is for another name; connect by the name that is in it",
        ),
        (
            "CaUsedAsEndEntity",
            "its certificate is marked as an authority's; it takes one with basicConstraints CA:FALSE",
        ),
        ("Expired", "its certificate has expired; renew it there"),
    ]
    .into_iter()
    .find_map(|(text, meaning)| why.contains(text).then_some(meaning))
}

fn from_file(file: &Path) -> Result<RootCertStore> {
    let wrong = |why: String| unusable(format!("sslrootcert {}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))? {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

fn of_this_machine() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(unusable(
            "this machine trusts no authority; name a file with one: ?sslrootcert=/FILE".to_owned(),
        ));
    }
    Ok(roots)
}

fn unusable(why: String) -> StoreError {
    StoreError::Unavailable(format!("TLS to PostgreSQL: {why}"))
}

/// Without the name; without authorities nothing but that the other end holds
/// the certificate's key.
#[derive(Debug)]
struct Leniently {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Leniently {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is judged last, after the chain.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for MakeTls {
    type Stream = Encrypted<S>;
    type TlsConnect = Connect;
    type Error = BoxError;

    /// Asked before the server is, also where TLS is off: with a Unix socket
    /// there is no name.
    fn make_tls_connect(&mut self, domain: &str) -> std::result::Result<Connect, BoxError> {
        let Some(config) = &self.0 else {
            return Ok(Connect(None));
        };
        let name = ServerName::try_from(domain.to_owned())?;
        Ok(Connect(Some((TlsConnector::from(Arc::clone(config)), name))))
    }
}

pub(super) struct Connect(Option<(TlsConnector, ServerName<'static>)>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connect {
    type Stream = Encrypted<S>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Encrypted<S>, BoxError>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let (connector, name) = self.0.ok_or("TLS is off")?;
            Ok(Encrypted(connector.connect(name, stream).await?))
        })
    }
}

pub(super) struct Encrypted<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
