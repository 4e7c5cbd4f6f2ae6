//! The one door: a client of the HTTP API, over whatever leads to the
//! instance that was asked for.

mod error;
mod response;
mod target;
mod tls;
mod transport;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};

pub use error::ClientError;
pub use response::Response;
pub use target::{Reached, TargetOptions};

use transport::{Failure, Sink, Transport};

/// Talks to one instance.
pub struct Client {
    transport: Transport,
    reached: Reached,
    token: Option<HeaderValue>,
    timeouts: Timeouts,
    /// What the person should know about how the instance was reached.
    notes: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(60),
        }
    }
}

/// Before what was not sent is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

impl Client {
    /// Finds the instance. It never makes a home.
    pub async fn connect(options: &TargetOptions) -> Result<Self, ClientError> {
        let found = target::find(options).await?;
        let token = options.token.as_deref().map(bearer).transpose()?;
        Ok(Self {
            transport: found.transport,
            reached: found.reached,
            token,
            timeouts: options.timeouts,
            notes: found.notes,
        })
    }

    pub fn reached(&self) -> &Reached {
        &self.reached
    }

    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Any answer, also one that is no success. `path` is percent-encoded
    /// already.
    ///
    /// What was not sent is tried once more; what may have been sent only if
    /// doing it twice does no harm: a read, or an `Idempotency-Key`.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, ClientError> {
        let request = transport::Request {
            path: path.to_owned(),
            headers: self.headers(headers)?,
            safe_to_repeat: method.is_safe()
                || headers
                    .iter()
                    .any(|(k, _)| k.eq_ignore_ascii_case("idempotency-key")),
            method,
            body: body.to_vec(),
        };
        // A connection that was idle may be closed just now: whether what went
        // out on it was read, nobody knows.
        let anew = !request.safe_to_repeat;
        let first = self.transport.send(&request, &self.timeouts, None, anew).await;
        let again = match &first {
            Err(Failure::NotSent(_)) => true,
            Err(Failure::Broken(_)) => request.safe_to_repeat,
            Ok(_) | Err(_) => false,
        };
        let answer = if again {
            tokio::time::sleep(RETRY_PAUSE).await;
            self.transport.send(&request, &self.timeouts, None, true).await
        } else {
            first
        };
        answer.map_err(|failure| ClientError::of(failure, &self.reached))
    }

    /// Once, with the body of a good answer as it comes.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
        sink: Sink<'_>,
    ) -> Result<Response, ClientError> {
        let request = transport::Request {
            path: path.to_owned(),
            headers: self.headers(&[])?,
            safe_to_repeat: false,
            method,
            body: body.to_vec(),
        };
        let answer = self
            .transport
            .send(&request, &self.timeouts, Some(sink), true)
            .await;
        answer.map_err(|failure| ClientError::of(failure, &self.reached))
    }

    fn headers(&self, given: &[(&str, &str)]) -> Result<HeaderMap, ClientError> {
        let mut map = HeaderMap::new();
        map.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        map.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static(concat!("stella/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(token) = &self.token {
            map.insert(http::header::AUTHORIZATION, token.clone());
        }
        for (name, value) in given {
            let name: http::HeaderName = name
                .parse()
                .map_err(|_| ClientError::usage(format!("{name:?} is not a header name")))?;
            let value = value
                .parse()
                .map_err(|_| ClientError::usage(format!("the value of {name} cannot be sent in a header")))?;
            map.insert(name, value);
        }
        Ok(map)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| ClientError::usage("the token holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let value = bearer("stella_abc").expect("a token");
        assert!(!format!("{value:?}").contains("stella_abc"));
        assert!(bearer("a\nb").is_err());
    }
}
