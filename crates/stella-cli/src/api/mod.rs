//! The HTTP API, typed: what every command asks through.

mod route;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use route::Route;

use crate::client::{Client, Response, TargetOptions, Timeouts};
use crate::context::Context;
use crate::error::CliError;

pub struct Api {
    client: Client,
}

impl Api {
    pub async fn connect(context: &Context, timeouts: Timeouts) -> Result<Self, CliError> {
        let global = &context.global;
        let client = Client::connect(&TargetOptions {
            server: global.server.clone(),
            home: global.home.clone(),
            config: global.config.clone(),
            token: global.token.clone().filter(|t| !t.is_empty()),
            timeouts,
            upkeep: context.looks_after_the_store(),
            ..TargetOptions::default()
        })
        .await?;
        for note in client.notes() {
            context.printer.note(note);
        }
        context.printer.detail(&format!("asking {}", client.reached()));
        Ok(Self { client })
    }

    pub async fn get<T: DeserializeOwned>(&self, route: &Route) -> Result<T, CliError> {
        self.send(Method::GET, route, &[], &[])
            .await?
            .json()
            .map_err(CliError::from)
    }

    /// The body as it is.
    pub async fn bytes(&self, route: &Route) -> Result<Vec<u8>, CliError> {
        Ok(self.send(Method::GET, route, &[], &[]).await?.body)
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.with_body(Method::POST, route, &[], body).await
    }

    /// With the key it is not done twice, so the client may send it again when
    /// the connection breaks.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> Result<T, CliError> {
        let headers = [("idempotency-key", idempotency_key)];
        self.with_body(Method::POST, route, &headers, body).await
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.with_body(Method::PUT, route, &[], body).await
    }

    pub async fn patch<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.with_body(Method::PATCH, route, &[], body).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, route: &Route) -> Result<T, CliError> {
        self.send(Method::DELETE, route, &[], &[])
            .await?
            .json()
            .map_err(CliError::from)
    }

    /// The body of the answer as it comes.
    pub async fn stream(
        &self,
        route: &Route,
        body: &impl Serialize,
        sink: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|e| CliError::failed("cli.request", format!("the request cannot be written: {e}")))?;
        let answer = self
            .client
            .stream(Method::POST, route.as_str(), &body, sink)
            .await?;
        answer.success().map(drop).map_err(CliError::from)
    }

    async fn with_body<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &Route,
        headers: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|e| CliError::failed("cli.request", format!("the request cannot be written: {e}")))?;
        self.send(method, route, headers, &body)
            .await?
            .json()
            .map_err(CliError::from)
    }

    async fn send(
        &self,
        method: Method,
        route: &Route,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, CliError> {
        let response = self.client.send(method, route.as_str(), headers, body).await?;
        response.success().map_err(CliError::from)
    }
}
