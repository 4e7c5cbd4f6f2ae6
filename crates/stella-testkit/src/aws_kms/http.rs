//! As much of HTTP/1.1 as the SDK speaks: one thread a connection.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::rules::{self, Refusal};
use super::{ACCESS_KEY, Fault, Request, SECRET_KEY, Shared, sigv4};

pub(super) struct Incoming {
    method: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Incoming {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(n, value)| (n == name).then_some(value.as_str()))
    }
}

pub(super) fn serve(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, shared: &Arc<Shared>) {
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.is_over() {
            return;
        }
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        // What goes wrong on a connection is the client's to find out.
        std::thread::spawn(move || match tls {
            None => connection(stream, &shared).ok(),
            Some(tls) => {
                let server = ServerConnection::new(tls).ok()?;
                connection(StreamOwned::new(server, stream), &shared).ok()
            }
        });
    }
}

/// With certificate and key from PEM files.
pub(super) fn tls(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
        });
    Arc::new(config.expect("a pair that fits"))
}

fn connection(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let Some((status, body)) = answer(&request, shared) else {
            return Ok(());
        };
        let out = reader.get_mut();
        write!(
            out,
            "HTTP/1.1 {status} .\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: 1\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )?;
        out.write_all(&body)?;
        out.flush()?;
    }
    Ok(())
}

fn read(reader: &mut impl io::BufRead) -> io::Result<Option<Incoming>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Incoming {
        method: line.split(' ').next().unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length").and_then(|l| l.parse().ok());
    request.body.resize(length.unwrap_or(0), 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Status and body; `None` to close the connection.
fn answer(request: &Incoming, shared: &Shared) -> Option<(u16, Vec<u8>)> {
    if request.method == "GET" {
        return Some((200, role().to_string().into_bytes()));
    }
    let target = request.header("x-amz-target").unwrap_or_default();
    let operation = target.strip_prefix("TrentService.").unwrap_or_default();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let fault = {
        let mut state = shared.state();
        state.seen.push(Request {
            operation: operation.to_owned(),
            body: body.clone(),
            authorization: request.header("authorization").unwrap_or_default().to_owned(),
        });
        state.arrived += 1;
        state.faults.pop_front().or_else(|| state.always.clone())
    };
    while shared.is_gathering() && !shared.is_over() {
        std::thread::sleep(Duration::from_millis(5));
    }
    match &fault {
        Some(Fault::Throttled) => return Some(Refusal::throttled().written()),
        Some(Fault::Error(status, code, message)) => {
            return Some(Refusal::new(*status, code, message).written());
        }
        Some(Fault::Status(status)) => return Some((*status, b"<html>try later</html>".to_vec())),
        Some(Fault::Garbage) => return Some((200, b"{\"Signature\": ".to_vec())),
        Some(Fault::Cut) => return None,
        Some(Fault::Hang) => {
            while !shared.is_over() {
                std::thread::sleep(Duration::from_millis(10));
            }
            return None;
        }
        Some(Fault::Slow(by)) => std::thread::sleep(*by),
        _ => {}
    }
    let done = content_type(request)
        .and_then(|()| sigv4::check(request))
        .and_then(|()| rules::perform(&mut shared.state(), operation, &body, fault.as_ref()));
    if fault == Some(Fault::CutAfterDoing) {
        return None;
    }
    Some(match done {
        Ok(answer) => (200, answer.to_string().into_bytes()),
        Err(refusal) => refusal.written(),
    })
}

/// As the agent beside a container hands out the credentials of its role.
fn role() -> Value {
    json!({
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": SECRET_KEY,
        "Token": "of the session",
        "Expiration": "2100-01-01T00:00:00Z",
    })
}

fn content_type(request: &Incoming) -> Result<(), Refusal> {
    match request.header("content-type") {
        Some("application/x-amz-json-1.1") => Ok(()),
        other => Err(Refusal::new(
            404,
            "UnknownOperationException",
            &format!("{other:?}"),
        )),
    }
}

impl Refusal {
    fn written(&self) -> (u16, Vec<u8>) {
        let body = json!({"__type": self.code, "message": self.message});
        (self.status, body.to_string().into_bytes())
    }
}
