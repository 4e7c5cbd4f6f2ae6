//! What came back.

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use stella_core::api::problem::Problem;

use super::ClientError;

#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// Anything but success is a problem document, or a gateway's page.
    pub fn success(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(ClientError::NotUnderstood {
                status: self.status,
                why: "it is not a problem document".to_owned(),
            }),
        }
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|e| ClientError::NotUnderstood {
            status: self.status,
            why: e.to_string(),
        })
    }
}
