//! `attest test-sign`: a nonce under a payload type of its own, never the
//! caller's bytes.

use std::sync::Arc;
use std::time::Instant;

use stella_core::api::attestations::{TestSign, TestSigned};
use stella_core::dsse;
use stella_core::trust::{KeyRecord, KeyState, OwnKey, TrustState};
use stella_keys::Retry;

use super::sign::NoSignature;
use crate::app::error::{Error, Result};
use crate::app::{App, Caller, signers, values};

/// No verifier of statements accepts this.
pub const PROBE_PAYLOAD_TYPE: &str = "application/vnd.stella.probe.v1";

impl App {
    pub async fn test_sign(&self, caller: &Caller, request: TestSign) -> Result<TestSigned> {
        let trust = self.trust_head().await?;
        let key = self.key_to_test(&trust, &request)?;
        let own = key
            .own()
            .ok_or_else(|| Error::conflict("key.external", format!("{} only verifies here", key.id)))?;
        caller.may_use(&own.profile)?;
        match self.try_key(key, own, &own.store).await? {
            Ok(signed) => Ok(signed),
            Err(why) => {
                self.log_no_signature(&why, "", &caller.identity).await;
                Err(unsigned(why))
            }
        }
    }

    /// The same without a caller, for those who look after the instance, in
    /// one of the key's stores.
    pub(crate) async fn probe_key(&self, key: &KeyRecord, store: &str) -> Result<TestSigned> {
        let own = key
            .own()
            .ok_or_else(|| Error::conflict("key.external", format!("{} only verifies here", key.id)))?;
        self.try_key(key, own, store).await?.map_err(unsigned)
    }

    async fn try_key(
        &self,
        key: &KeyRecord,
        own: &OwnKey,
        store: &str,
    ) -> Result<std::result::Result<TestSigned, NoSignature>> {
        let signer = self.signer_in(key, store).await?;
        let mut nonce = [0_u8; 32];
        self.entropy.fill(&mut nonce)?;
        let started = Instant::now();
        let outcome = self
            .sign_within_deadline(Arc::clone(&signer), dsse::pae(PROBE_PAYLOAD_TYPE, &nonce))
            .await;
        let milliseconds = started.elapsed().as_secs_f64() * 1_000.0;
        if let Err(e) = outcome {
            return Ok(Err(NoSignature {
                code: e.code(),
                reason: match own.further_stores.is_empty() {
                    true => format!("signing failed: {}: {e}", key.id),
                    false => format!("signing failed: {} in {store}: {e}", key.id),
                },
                next: signers::diagnosis(store)
                    .unwrap_or_else(|| "stella keys verify --operation sign".to_owned()),
                retry: Retry::AfterOperator,
                attempted: true,
            }));
        }
        // A token's mechanism and slot are known once it has signed.
        let description = signer.describe();
        Ok(Ok(TestSigned {
            ok: true,
            key_id: key.id.to_string(),
            profile: own.profile.to_string(),
            algorithm: key.public_key.algorithm().to_string(),
            store: description.store,
            mechanism: description.mechanism,
            slot: description.slot,
            milliseconds,
        }))
    }

    fn key_to_test<'a>(&self, trust: &'a TrustState, request: &TestSign) -> Result<&'a KeyRecord> {
        if let Some(id) = request.key_id.as_deref() {
            let id = values::key_id(id)?;
            let key = trust.keys.get(&id).ok_or_else(|| {
                Error::not_found("key.unknown", format!("no key named {id}")).next("stella keys list")
            })?;
            return match key.state(self.not_before(trust)) {
                ended @ (KeyState::Revoked | KeyState::Compromised) => Err(Error::conflict(
                    "key.ended",
                    format!("{id} is {ended}; it signs nothing"),
                )),
                _ => Ok(key),
            };
        }
        let profile = self.known_profile(request.profile.as_deref().unwrap_or("default"))?;
        self.active(trust, &profile)
            .map_err(|why| Error::conflict(why.code, why.reason).next(why.next))
    }
}

fn unsigned(why: NoSignature) -> Error {
    Error::unavailable(why.code, why.reason).next(why.next)
}
