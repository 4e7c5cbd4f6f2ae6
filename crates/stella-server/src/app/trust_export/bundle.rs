//! `trust export`: the trust of this moment, signed for offline verifiers.

use std::collections::BTreeMap;
use std::time::Duration;

use stella_core::api::trust::{ExportTrust, ExportedTrust};
use stella_core::bundle::trust::{BUNDLE_PAYLOAD_TYPE, LogHead, SignedBundle, TrustBundle, TrustRoot};
use stella_core::trust::{EventBody, TrustState};

use super::{feed_keys, text, unusable};
use crate::app::error::{Error, Result};
use crate::app::trust::Decision;
use crate::app::{App, Caller};

impl App {
    /// The export is an event first: its number is the bundle's. Whatever
    /// fails afterwards, that number is used up and comes on no other bundle.
    pub async fn export_trust(&self, caller: &Caller, request: ExportTrust) -> Result<ExportedTrust> {
        let life = self.bundle_life(&request)?;
        let signers = self.feed_signers(self.trust_head().await?.as_ref()).await?;
        let ((issued_at, expires_at), state) = self
            .change(caller, |state, now| {
                feed_keys(state, now)?;
                let expires_at = now.saturating_add(life);
                let exported = EventBody::TrustExported { expires_at };
                Ok(Decision::new(vec![exported], (now, expires_at)))
            })
            .await?;
        let mut policy = self.verify_policy();
        // As strict as this caller's own questions would be answered.
        policy.require_purl |= caller.remote;
        let bundle = TrustBundle {
            instance: self.instance_id().await?,
            number: state.head,
            issued_at,
            expires_at,
            log: self.log_head(&state).await?,
            trust: TrustState::clone(&state),
            authorities: BTreeMap::new(),
            policy,
            limits: self.document_limits(),
        };
        let payload = bundle
            .to_payload()
            .map_err(|e| Error::conflict("trust.too-large", format!("the trust bundle: {e}")))?;
        let document = self.sign_for_feed(BUNDLE_PAYLOAD_TYPE, payload, &signers).await?;
        let root = TrustRoot::parse(&self.root_of(&state).await?).map_err(|e| unusable("trust root", e))?;
        let signed = SignedBundle::open(&document, &root).map_err(|e| unusable("trust bundle", e))?;
        Ok(ExportedTrust {
            instance: bundle.instance.to_string(),
            number: bundle.number,
            issued_at: issued_at.to_string(),
            expires_at: expires_at.to_string(),
            signed_by: signed.signed_by.iter().map(ToString::to_string).collect(),
            document: text(document)?,
        })
    }

    async fn log_head(&self, state: &TrustState) -> Result<LogHead> {
        let head = self.store.chain_head(state.head).await?.ok_or_else(|| {
            Error::unavailable(
                "store.corrupt",
                format!("the hash chain does not cover event {}", state.head),
            )
            .next("stella db verify")
        })?;
        Ok(LogHead {
            events: head.events,
            entries: head.entries,
            hash: head.hash,
        })
    }

    fn bundle_life(&self, request: &ExportTrust) -> Result<Duration> {
        let settings = &self.settings.trust;
        let Some(seconds) = request.expires_in_seconds else {
            return Ok(settings.bundle_lifetime.min(settings.max_bundle_lifetime));
        };
        let life = Duration::from_secs(seconds);
        if life.is_zero() {
            return Err(Error::invalid(
                "trust.expires",
                "a trust bundle that ends at once is of no use",
            ));
        }
        if life > settings.max_bundle_lifetime {
            let days = settings.max_bundle_lifetime.as_secs() / 86_400;
            return Err(Error::invalid(
                "trust.expires",
                format!(
                    "a trust bundle is good for {days} days at most (trust.maxBundleLifetime): as long it hides a revocation"
                ),
            ));
        }
        Ok(life)
    }
}
