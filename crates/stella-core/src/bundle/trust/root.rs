//! The trust root: the keys that an offline verifier pins. It is signed by
//! `threshold` of its own root keys, and a later one also by as many of the
//! root keys before it.

use serde::{Deserialize, Serialize};

use super::document::{self, FeedKey, FeedKeyWire, feed_keys};
use super::{InstanceId, LIMITS, ROOT_PAYLOAD_TYPE, Refused};
use crate::canonical;
use crate::dsse::Envelope;
use crate::json;
use crate::verify::Code;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRoot {
    content: RootContent,
    envelope: Envelope,
}

/// What a root says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootContent {
    pub instance: InstanceId,
    /// A later root has a higher one.
    pub number: u64,
    /// How many of the root keys must have signed.
    pub threshold: u32,
    pub root_keys: Vec<FeedKey>,
    /// They sign trust bundles.
    pub feed_keys: Vec<FeedKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    version: u32,
    instance: InstanceId,
    #[serde(deserialize_with = "document::number")]
    number: u64,
    threshold: u32,
    root_keys: Vec<FeedKeyWire>,
    feed_keys: Vec<FeedKeyWire>,
}

const VERSION: u32 = 1;

impl RootContent {
    /// What is signed: RFC 8785 JSON, to be put under [`ROOT_PAYLOAD_TYPE`].
    /// The same content has the same bytes, whenever it is written.
    pub fn to_payload(&self) -> Result<Vec<u8>, Refused> {
        let wire = Wire {
            version: VERSION,
            instance: self.instance,
            number: self.number,
            threshold: self.threshold,
            root_keys: self.root_keys.iter().map(Into::into).collect(),
            feed_keys: self.feed_keys.iter().map(Into::into).collect(),
        };
        canonical::of(&wire).map_err(invalid)
    }

    fn read(payload: &[u8]) -> Result<Self, Refused> {
        let json::Object(wire): json::Object<Wire> = json::parse(payload, &LIMITS.json).map_err(invalid)?;
        if wire.version != VERSION {
            return Err(invalid(format!(
                "the trust root is of version {}, this build reads {VERSION}",
                wire.version
            )));
        }
        let root_keys = feed_keys(wire.root_keys).map_err(|e| invalid(format!("rootKeys: {e}")))?;
        let feed_keys = feed_keys(wire.feed_keys).map_err(|e| invalid(format!("feedKeys: {e}")))?;
        let enough = usize::try_from(wire.threshold).unwrap_or(usize::MAX);
        if !(1..=root_keys.len()).contains(&enough) {
            return Err(invalid(format!(
                "its threshold is {enough} of {} root keys",
                root_keys.len()
            )));
        }
        Ok(Self {
            instance: wire.instance,
            number: wire.number,
            threshold: wire.threshold,
            root_keys,
            feed_keys,
        })
    }

    fn is_signed(&self, envelope: &Envelope) -> bool {
        let signed = document::signers(envelope, &self.root_keys).len();
        signed >= usize::try_from(self.threshold).unwrap_or(usize::MAX)
    }
}

impl TrustRoot {
    /// A root to pin: its own signatures prove that it is whole and that its
    /// keys exist. That it is the right one is for whoever pins it to know.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let envelope = document::open(bytes, ROOT_PAYLOAD_TYPE, Code::TrustRootInvalid)?;
        let content = RootContent::read(&envelope.payload)?;
        if !content.is_signed(&envelope) {
            return Err(invalid(format!(
                "it is not signed by {} of its own root keys",
                content.threshold
            )));
        }
        Ok(Self { content, envelope })
    }

    /// Whether `self` may take the place of `before`, which is pinned.
    pub fn follows(&self, before: &Self) -> Result<(), Refused> {
        if self.instance() != before.instance() {
            return Err(Refused::new(
                Code::TrustOtherInstance,
                format!(
                    "the root is of instance {}, the pinned one of {}",
                    self.instance(),
                    before.instance()
                ),
            ));
        }
        if self.number() <= before.number() {
            return Err(Refused::new(
                Code::TrustRollback,
                format!(
                    "the root has the number {}, the pinned one {}",
                    self.number(),
                    before.number()
                ),
            ));
        }
        if !before.content.is_signed(&self.envelope) {
            return Err(Refused::new(
                Code::TrustUntrusted,
                format!(
                    "root {} is not signed by {} of the root keys of root {}",
                    self.number(),
                    before.content.threshold,
                    before.number()
                ),
            ));
        }
        Ok(())
    }

    pub fn instance(&self) -> InstanceId {
        self.content.instance
    }

    pub fn number(&self) -> u64 {
        self.content.number
    }

    pub fn feed_keys(&self) -> &[FeedKey] {
        &self.content.feed_keys
    }

    pub fn content(&self) -> &RootContent {
        &self.content
    }
}

fn invalid(why: impl ToString) -> Refused {
    Refused::new(Code::TrustRootInvalid, why)
}
