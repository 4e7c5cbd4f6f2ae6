//! The ways to an instance. A command asks mostly once and ends; one that
//! asks often finds the connections of its earlier requests again.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use stella_server::http::peer::Peer;
use stella_server::instance::Instance;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Response, Timeouts, tls};

/// An answer longer than this is not from this product.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

pub enum Transport {
    Embedded(Box<Instance>),
    Socket(PathBuf, Idle),
    Network(Base, Idle),
}

pub struct Request {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub safe_to_repeat: bool,
}

pub enum Failure {
    /// Nothing of the request left this process.
    NotSent(String),
    /// Nor here: the other end did not prove who it is.
    Tls(String),
    /// The request, or a part of it, was on its way.
    Broken(String),
    TokenInClear,
    Invalid(String),
    /// What came was not taken here.
    NotTaken(io::Error),
}

impl Transport {
    pub fn embedded(instance: Instance) -> Self {
        Self::Embedded(Box::new(instance))
    }

    pub fn socket(path: PathBuf) -> Self {
        Self::Socket(path, Idle::default())
    }

    pub fn network(base: Base) -> Self {
        Self::Network(base, Idle::default())
    }

    /// `anew`: over a connection that nobody used before.
    pub async fn send(
        &self,
        request: &Request,
        timeouts: &Timeouts,
        sink: Option<Sink<'_>>,
        anew: bool,
    ) -> Result<Response, Failure> {
        let (idle, host, prefix) = match self {
            // No timeout: nobody but the person waits, and there is no one
            // else to whom a slow disk could matter.
            Self::Embedded(instance) => return in_process(instance, request, sink).await,
            Self::Socket(_, idle) => (idle, "localhost", ""),
            Self::Network(base, idle) => (idle, base.authority.as_str(), base.prefix.as_str()),
        };
        let message = message(request, host, prefix)?;
        let earlier = if anew { None } else { idle.take() };
        let mut connection = match (earlier, self) {
            (Some(connection), _) => connection,
            (None, Self::Network(base, _)) => base.connect(request, timeouts).await?,
            (None, Self::Socket(path, _)) => {
                Connection::over(within(timeouts, UnixStream::connect(path)).await?).await?
            }
            (None, Self::Embedded(instance)) => return in_process(instance, request, sink).await,
        };
        let answer = exchange(&mut connection, message, timeouts, sink).await;
        if answer.is_ok() {
            idle.put(connection);
        }
        answer
    }
}

/// Connections on which nothing is under way.
#[derive(Default)]
pub struct Idle(Mutex<Vec<Connection>>);

impl Idle {
    fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What the other end closed, or what still has something to say, goes.
        idle.retain(|connection| connection.sender.is_ready());
        idle.pop()
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    async fn over<S>(stream: S) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| Failure::NotSent(e.to_string()))?;
        let task = tokio::spawn(connection);
        Ok(Self { sender, task })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `http://host:port/prefix`.
pub struct Base {
    tls: bool,
    host: String,
    port: u16,
    authority: Authority,
    prefix: String,
}

impl FromStr for Base {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            format!("{s} is not a server's address ({why}): write https://host or http://127.0.0.1:8420")
        };
        let uri: Uri = s
            .parse()
            .map_err(|e: http::uri::InvalidUri| refuse(&e.to_string()))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(refuse("it begins with neither https:// nor http://")),
        };
        let authority = uri
            .authority()
            .cloned()
            .ok_or_else(|| refuse("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err("a server's address holds no user or password: give a token with --token".to_owned());
        }
        if uri.query().is_some() {
            return Err(refuse("it has a query"));
        }
        Ok(Self {
            tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authority,
        })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

impl Base {
    async fn connect(&self, request: &Request, timeouts: &Timeouts) -> Result<Connection, Failure> {
        let stream = within(timeouts, TcpStream::connect((self.host.as_str(), self.port))).await?;
        if self.tls {
            let stream = timeout(timeouts.connect, tls::connect(stream, &self.host))
                .await
                .map_err(|_| Failure::NotSent("TLS: no answer in time".to_owned()))?
                .map_err(Failure::Tls)?;
            return Connection::over(stream).await;
        }
        // What a name resolves to is not known before; the address is.
        let loopback = stream
            .peer_addr()
            .is_ok_and(|a| a.ip().to_canonical().is_loopback());
        if !loopback && request.headers.contains_key(header::AUTHORIZATION) {
            return Err(Failure::TokenInClear);
        }
        Connection::over(stream).await
    }
}

async fn within<S>(
    timeouts: &Timeouts,
    connecting: impl Future<Output = std::io::Result<S>>,
) -> Result<S, Failure> {
    match timeout(timeouts.connect, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(Failure::NotSent(e.to_string())),
        Err(_) => Err(Failure::NotSent(format!(
            "no connection within {} s",
            timeouts.connect.as_secs_f32()
        ))),
    }
}

fn message(request: &Request, host: &str, prefix: &str) -> Result<http::Request<Full<Bytes>>, Failure> {
    let mut message = build(request, prefix, Full::new(Bytes::from(request.body.clone())))?;
    let host = HeaderValue::try_from(host).map_err(|e| Failure::Invalid(e.to_string()))?;
    message.headers_mut().insert(header::HOST, host);
    Ok(message)
}

async fn exchange(
    connection: &mut Connection,
    message: http::Request<Full<Bytes>>,
    timeouts: &Timeouts,
    sink: Option<Sink<'_>>,
) -> Result<Response, Failure> {
    let streams = sink.is_some();
    let late = || {
        let seconds = timeouts.request.as_secs_f32();
        Failure::Broken(format!("no answer within {seconds} s"))
    };
    let answered = timeout(timeouts.request, async {
        let answer = connection.sender.send_request(message).await.map_err(|e| {
            // Hyper's word for "it never went out".
            if e.is_canceled() {
                Failure::NotSent(e.to_string())
            } else if e.is_parse() {
                Failure::Broken(format!(
                    "no HTTP came back ({e}); where TLS is spoken, ask https://"
                ))
            } else {
                Failure::Broken(e.to_string())
            }
        })?;
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() && streams {
            return Ok(Answer::Streams(parts, body));
        }
        collect(parts, body).await.map(Answer::Whole)
    })
    .await;
    match (answered.unwrap_or_else(|_| Err(late())), sink) {
        (Ok(Answer::Streams(parts, mut body)), Some(sink)) => loop {
            // Each piece has that long: of all of them nobody knows.
            match timeout(timeouts.request, body.frame()).await {
                Err(_) => break Err(late()),
                Ok(frame) => match pass_on(frame, sink) {
                    Ok(true) => {}
                    Ok(false) => break Ok(without_body(parts)),
                    Err(failure) => break Err(failure),
                },
            }
        },
        (Ok(Answer::Streams(parts, body)), None) => collect(parts, body).await,
        (Ok(Answer::Whole(response)), _) => Ok(response),
        (Err(failure), _) => Err(failure),
    }
}

/// Takes the body of a good answer as it comes.
pub type Sink<'a> = &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send);

enum Answer {
    Whole(Response),
    Streams(http::response::Parts, hyper::body::Incoming),
}

/// Whether more may come.
fn pass_on<E: fmt::Display>(
    frame: Option<Result<hyper::body::Frame<Bytes>, E>>,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> Result<bool, Failure> {
    match frame {
        None => Ok(false),
        Some(Err(e)) => Err(Failure::Broken(e.to_string())),
        Some(Ok(frame)) => match frame.into_data() {
            Ok(bytes) => sink(&bytes).map(|()| true).map_err(Failure::NotTaken),
            Err(_) => Ok(true),
        },
    }
}

fn without_body(parts: http::response::Parts) -> Response {
    Response {
        status: parts.status,
        headers: parts.headers,
        body: Vec::new(),
    }
}

async fn in_process(
    instance: &Instance,
    request: &Request,
    sink: Option<Sink<'_>>,
) -> Result<Response, Failure> {
    let mut message = build(request, "", Full::new(Bytes::from(request.body.clone())))?;
    message.extensions_mut().insert(Peer::Embedded {
        user: stella_server::user::current(),
    });
    let answer = match instance.router().oneshot(message).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (parts, mut body) = answer.into_parts();
    match sink {
        Some(sink) if parts.status.is_success() => {
            while pass_on(body.frame().await, sink)? {}
            Ok(without_body(parts))
        }
        _ => collect(parts, body).await,
    }
}

fn build<B>(request: &Request, prefix: &str, body: B) -> Result<http::Request<B>, Failure> {
    let uri: Uri = format!("{prefix}{}", request.path)
        .parse()
        .map_err(|e: http::uri::InvalidUri| Failure::Invalid(format!("{}: {e}", request.path)))?;
    let mut message = http::Request::new(body);
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.headers_mut() = request.headers.clone();
    Ok(message)
}

async fn collect<B>(parts: http::response::Parts, body: B) -> Result<Response, Failure>
where
    B: hyper::body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|e| Failure::Broken(e.to_string()))?;
    Ok(Response {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes().to_vec(),
    })
}
