//! `trust root`: the document that an offline verifier pins.

use stella_core::api::trust::TrustRootDocument;
use stella_core::bundle::trust::{FeedKey, MAX_FEED_KEYS, ROOT_PAYLOAD_TYPE, RootContent, TrustRoot};
use stella_core::digest::Sha256;
use stella_core::trust::{KeyType, TrustState};

use super::{text, unusable};
use crate::app::App;
use crate::app::error::{Error, Result};

impl App {
    /// A function of the events: as long as the feed keys stay as they are,
    /// so does the root, and only then.
    pub async fn trust_root(&self) -> Result<TrustRootDocument> {
        let state = self.trust_head().await?;
        let document = self.root_of(&state).await?;
        let root = TrustRoot::parse(&document).map_err(|e| unusable("trust root", e))?;
        Ok(TrustRootDocument {
            instance: root.instance().to_string(),
            number: root.number(),
            feed_keys: root.feed_keys().iter().map(|k| k.id.to_string()).collect(),
            sha256: Sha256::of(&document).to_hex(),
            document: text(document)?,
        })
    }

    pub(super) async fn root_of(&self, state: &TrustState) -> Result<Vec<u8>> {
        let signers = self.feed_signers(state).await?;
        // One that may not sign any more has signed bundles that are still good.
        let keys: Vec<FeedKey> = state
            .active_feed_keys(self.not_before(state))
            .map(|k| FeedKey {
                id: k.id.clone(),
                public_key: k.public_key.clone(),
            })
            .collect();
        if keys.len() > MAX_FEED_KEYS {
            return Err(Error::conflict(
                "trust.too-many-feed-keys",
                format!(
                    "{} feed keys are active; a trust root names at most {MAX_FEED_KEYS}",
                    keys.len()
                ),
            )
            .next("stella keys retire KEY"));
        }
        let content = RootContent {
            instance: self.instance_id().await?,
            number: root_number(state),
            threshold: 1,
            root_keys: keys.clone(),
            feed_keys: keys,
        };
        let payload = content.to_payload().map_err(|e| unusable("trust root", e))?;
        self.sign_for_feed(ROOT_PAYLOAD_TYPE, payload, &signers).await
    }
}

/// The last event about any feed key.
fn root_number(state: &TrustState) -> u64 {
    state
        .keys
        .values()
        .filter(|k| k.key_type == KeyType::Feed)
        .map(|k| k.version)
        .max()
        .unwrap_or(0)
}
