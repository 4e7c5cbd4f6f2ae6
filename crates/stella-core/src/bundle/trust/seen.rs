//! What a verifier remembers of the bundles it has seen, so that it takes no
//! older one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{InstanceId, Refused, SignedBundle, document};
use crate::canonical::{self, CanonicalError};
use crate::digest::Sha256;
use crate::json::{self, JsonError, JsonLimits, Object};
use crate::verify::Code;

/// The newest bundle of each instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<InstanceId, Newest>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Newest {
    #[serde(deserialize_with = "document::number")]
    number: u64,
    digest: Sha256,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeenError {
    #[error("it cannot be read: {0}")]
    Json(#[from] JsonError),
    #[error("it is of version {0}, this build reads {VERSION}")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    version: u32,
    newest: BTreeMap<InstanceId, Newest>,
}

const VERSION: u32 = 1;

const LIMITS: JsonLimits = JsonLimits {
    max_bytes: 16 * 1024 * 1024,
    max_depth: 8,
};

impl Seen {
    pub fn parse(bytes: &[u8]) -> Result<Self, SeenError> {
        let Object(wire): Object<Wire> = json::parse(bytes, &LIMITS)?;
        if wire.version != VERSION {
            return Err(SeenError::Version(wire.version));
        }
        Ok(Self(wire.newest))
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::of(&Wire {
            version: VERSION,
            newest: self.0.clone(),
        })
    }

    /// Takes note of a bundle. `true` when there is something new to keep.
    pub fn note(&mut self, signed: &SignedBundle) -> Result<bool, Refused> {
        let (number, digest) = (signed.bundle.number, signed.digest);
        let before = self.0.get(&signed.bundle.instance).copied();
        match before {
            Some(newest) if number < newest.number => Err(Refused::new(
                Code::TrustRollback,
                format!(
                    "trust bundle {number} is older than {}, which was seen here",
                    newest.number
                ),
            )),
            Some(newest) if number == newest.number && digest != newest.digest => Err(Refused::new(
                Code::TrustForked,
                format!("another trust bundle {number} of this instance was seen here"),
            )),
            Some(newest) if number == newest.number => Ok(false),
            _ => {
                self.0.insert(signed.bundle.instance, Newest { number, digest });
                Ok(true)
            }
        }
    }
}
