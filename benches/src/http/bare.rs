//! The limit: the same HTTP stack in a process of its own, which reads the
//! request, signs, sees that the signature verifies, and stores nothing.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stella_core::alg::Algorithm;
use stella_core::api::attestations::CreateAttestation;
use stella_core::dsse::{IN_TOTO_PAYLOAD_TYPE, pae};
use stella_keys::entropy::SystemEntropy;
use stella_keys::sign_verified;
use stella_keys::software::SoftwareKey;

use super::load::Target;
use super::{target, text};

pub struct Bare {
    child: Child,
    port: u16,
}

impl Bare {
    pub fn start(algorithm: &str) -> Result<Self, String> {
        let mut child = Command::new(std::env::current_exe().map_err(text)?)
            .args(["bare-server", algorithm])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line).map_err(text)?;
        let port = line
            .trim()
            .parse()
            .map_err(|_| format!("the bare server said {line:?}"));
        match port {
            Ok(port) => Ok(Self { child, port }),
            Err(e) => {
                let _ = child.kill();
                Err(e)
            }
        }
    }

    pub fn target(&self) -> Target {
        target(self.port, "default", None)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side: prints its port and serves until it is killed.
pub fn serve(algorithm: &str) -> Result<(), String> {
    let algorithm: Algorithm = algorithm.parse().map_err(text)?;
    let key = Arc::new(SoftwareKey::generate(algorithm, &mut SystemEntropy).map_err(text)?);
    let router = Router::new()
        .route("/v1/attestations", post(sign))
        .with_state(key);
    let runtime = tokio::runtime::Runtime::new().map_err(text)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        println!("{}", listener.local_addr().map_err(text)?.port());
        axum::serve(listener, router).await.map_err(text)
    })
}

async fn sign(
    State(key): State<Arc<SoftwareKey>>,
    Json(asked): Json<CreateAttestation>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let statement = asked.statement.and_then(|text| STANDARD.decode(text).ok());
    let statement = statement.ok_or(StatusCode::BAD_REQUEST)?;
    let signed = tokio::task::spawn_blocking(move || {
        let signature = sign_verified(&*key, &pae(IN_TOTO_PAYLOAD_TYPE, &statement)).ok()?;
        Some(json!({
            "state": "signed",
            "payloadType": IN_TOTO_PAYLOAD_TYPE,
            "payload": STANDARD.encode(&statement),
            "signatures": [{"sig": STANDARD.encode(signature.as_bytes())}],
        }))
    });
    match signed.await {
        Ok(Some(envelope)) => Ok((StatusCode::CREATED, Json(envelope))),
        _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
