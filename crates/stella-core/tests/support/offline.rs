//! Trust bundles and roots as an instance would sign them.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::BTreeMap;

use stella_core::bundle::trust::{
    BUNDLE_PAYLOAD_TYPE, FeedKey, InstanceId, LogHead, ROOT_PAYLOAD_TYPE, RootContent, TrustBundle,
};
use stella_core::dsse::{self, Envelope, EnvelopeSignature};
use stella_core::trust::TrustState;
use stella_core::verify::VerifyPolicy;
use stella_core::verify::document::DocumentLimits;
use uuid::Uuid;

use crate::support::{at, key_id, pair, public_key, sha};

/// Which key pair plays the feed key.
pub const FEED: usize = 10;
pub const OTHER_FEED: usize = 11;
pub const INSTANCE: InstanceId = InstanceId(Uuid::from_u128(7));

/// Good from 2025-03-01 for 14 days.
pub fn bundle(trust: TrustState) -> TrustBundle {
    TrustBundle {
        instance: INSTANCE,
        number: 40,
        issued_at: at("2025-03-01T00:00:00Z"),
        expires_at: at("2025-03-15T00:00:00Z"),
        log: LogHead {
            events: 40,
            entries: 3,
            hash: sha("the chain"),
        },
        trust,
        authorities: BTreeMap::new(),
        policy: VerifyPolicy::default(),
        limits: DocumentLimits::default(),
    }
}

pub fn feed_key(n: usize) -> FeedKey {
    FeedKey {
        id: key_id(&format!("feed-{n}")),
        public_key: public_key(n),
    }
}

/// Signed by each of these pairs, under the id of its feed key.
pub fn signed(payload_type: &str, payload: &[u8], by: &[usize]) -> Vec<u8> {
    let pae = dsse::pae(payload_type, payload);
    Envelope {
        payload_type: payload_type.to_owned(),
        payload: payload.to_vec(),
        signatures: by
            .iter()
            .map(|n| EnvelopeSignature {
                keyid: Some(feed_key(*n).id.to_string()),
                sig: pair(*n).sign(&pae).as_ref().to_vec(),
            })
            .collect(),
    }
    .to_json()
}

pub fn signed_bundle(bundle: &TrustBundle) -> Vec<u8> {
    signed(
        BUNDLE_PAYLOAD_TYPE,
        &bundle.to_payload().expect("a payload"),
        &[FEED],
    )
}

pub fn root_content(number: u64, keys: &[usize]) -> RootContent {
    RootContent {
        instance: INSTANCE,
        number,
        threshold: 1,
        root_keys: keys.iter().copied().map(feed_key).collect(),
        feed_keys: keys.iter().copied().map(feed_key).collect(),
    }
}

pub fn signed_root(content: &RootContent, by: &[usize]) -> Vec<u8> {
    signed(ROOT_PAYLOAD_TYPE, &content.to_payload().expect("a payload"), by)
}
