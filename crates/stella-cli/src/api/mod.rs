//! The HTTP API, typed: the one door to whatever instance was chosen.

mod route;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use route::Route;

use crate::context::Context;
use crate::error::CliError;

pub struct Api {}

/// An answer with the status it came with.
pub struct Reply<T> {
    pub status: u16,
    pub value: T,
}

impl Api {
    pub async fn connect(_context: &Context) -> Result<Self, CliError> {
        Err(CliError::failed("cli.todo", "no transport yet"))
    }

    pub async fn get<T: DeserializeOwned>(&self, route: &Route) -> Result<T, CliError> {
        decode(&self.send("GET", route, None, &[]).await?.1)
    }

    /// The body as it is.
    pub async fn bytes(&self, route: &Route) -> Result<Vec<u8>, CliError> {
        Ok(self.send("GET", route, None, &[]).await?.1)
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        decode(&self.send("POST", route, Some(encode(body)?), &[]).await?.1)
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        decode(&self.send("PUT", route, Some(encode(body)?), &[]).await?.1)
    }

    pub async fn patch<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        decode(&self.send("PATCH", route, Some(encode(body)?), &[]).await?.1)
    }

    pub async fn delete<T: DeserializeOwned>(&self, route: &Route) -> Result<T, CliError> {
        decode(&self.send("DELETE", route, None, &[]).await?.1)
    }

    /// May be sent again with the same key: it is not done twice. So it is,
    /// once, when the connection breaks.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> Result<Reply<T>, CliError> {
        let body = encode(body)?;
        let headers = [("idempotency-key", idempotency_key)];
        let answer = match self.send("POST", route, Some(body.clone()), &headers).await {
            Err(error) if error.broken => self.send("POST", route, Some(body), &headers).await?,
            other => other?,
        };
        Ok(Reply {
            status: answer.0,
            value: decode(&answer.1)?,
        })
    }

    async fn send(
        &self,
        _method: &str,
        _route: &Route,
        _body: Option<Vec<u8>>,
        _headers: &[(&str, &str)],
    ) -> Result<(u16, Vec<u8>), CliError> {
        Err(CliError::failed("cli.todo", "no transport yet"))
    }
}

fn encode(body: &impl Serialize) -> Result<Vec<u8>, CliError> {
    serde_json::to_vec(body)
        .map_err(|e| CliError::failed("cli.request", format!("the request cannot be written: {e}")))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CliError> {
    serde_json::from_slice(body).map_err(|e| {
        CliError::failed(
            "cli.answer",
            "the answer of the server is not what this version expects",
        )
        .because(e)
        .next("compare the versions: stella --version, and stella attest status")
    })
}
