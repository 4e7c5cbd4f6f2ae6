//! One signature: the active key is chosen, signs, and its signature is seen
//! to verify before anything is stored.

use std::sync::Arc;
use std::time::Duration;

use stella_core::alg::Algorithm;
use stella_core::digest::Sha256;
use stella_core::dsse::{self, Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::id::ProfileName;
use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::{Retry, Sign, SignError, VerifiedSignature, sign_verified};
use stella_store::{Attempt, AttestationState, LedgerKey, LogRow, Signed, SignedHere};

use crate::app::error::{Error, ErrorKind, Result};
use crate::app::{App, aws_kms, signers};

/// How often a key is chosen anew when it changes while it signs.
pub(super) const MAX_TRIES: usize = 8;

/// Why there is no signature, and what mends that.
#[derive(Debug, Clone)]
pub(super) struct NoSignature {
    pub code: &'static str,
    pub reason: String,
    pub next: String,
    pub retry: Retry,
}

impl NoSignature {
    fn from_error(error: Error) -> Self {
        let next = error.next.unwrap_or_else(|| RETRY.to_owned());
        Self {
            code: "signer.unavailable",
            reason: format!("signing failed: {}", error.message),
            next,
            retry: Retry::AfterOperator,
        }
    }

    pub fn unreadable(error: &Error) -> Self {
        Self {
            code: "signer.refused",
            reason: format!("signing failed: {}", error.message),
            next: "stella attest integrity-check ID, or raise the limit it names".to_owned(),
            retry: Retry::Never,
        }
    }

    pub fn contended() -> Self {
        Self {
            code: "signer.contended",
            reason: "signing failed: the signing key kept changing".to_owned(),
            next: RETRY.to_owned(),
            retry: Retry::Later,
        }
    }
}

pub(super) const RETRY: &str = "stella attest retry --failed";

impl App {
    /// The outer error is the store's: then nothing can be recorded either.
    pub(super) async fn sign_payload(
        &self,
        trust: &TrustState,
        profile: &ProfileName,
        payload: &[u8],
        requested_by: &str,
    ) -> Result<std::result::Result<Signed, NoSignature>> {
        let key = match self.active(trust, profile) {
            Ok(key) => key,
            Err(why) => return Ok(Err(why)),
        };
        let signer = match self.signer(key).await {
            Ok(signer) => signer,
            Err(e) if e.kind == ErrorKind::Internal || e.code.starts_with("store.") => return Err(e),
            Err(e) => return Ok(Err(NoSignature::from_error(e))),
        };
        let pae = dsse::pae(IN_TOTO_PAYLOAD_TYPE, payload);
        let digest = Sha256::of(&pae);
        let signature = match self.sign_within_deadline(signer, pae).await {
            Ok(signature) => signature,
            Err(e) => return Ok(Err(self.refused(trust, key, &e))),
        };
        let ledger = LedgerKey {
            pae: digest,
            spki: signature.public_key().fingerprint(),
            signature: Sha256::of(signature.as_bytes()),
        };
        let envelope = Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: payload.to_vec(),
            signatures: vec![EnvelopeSignature {
                keyid: Some(key.id.to_string()),
                sig: signature.into_bytes(),
            }],
        };
        Ok(Ok(Signed {
            envelope: envelope.to_json(),
            recorded_at: self.not_before(trust),
            by: Some(SignedHere {
                key_id: key.id.clone(),
                key_version: key.version,
                ledger,
                requested_by: requested_by.to_owned(),
            }),
            events: None,
        }))
    }

    /// Moved off the async threads. Past the deadline the signature may still
    /// be made; nobody waits for it and nobody gets it.
    pub(in crate::app) async fn sign_within_deadline(
        &self,
        signer: Arc<dyn Sign>,
        message: Vec<u8>,
    ) -> std::result::Result<VerifiedSignature, SignError> {
        let deadline = self.settings.signing.deadline;
        let signing = tokio::task::spawn_blocking(move || sign_verified(signer.as_ref(), &message));
        match tokio::time::timeout(deadline, signing).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(SignError::Internal("the signer broke off".to_owned())),
            Err(_) => Err(SignError::TimedOut(format!("no answer within {deadline:?}"))),
        }
    }

    /// The failed attempt as it is kept with the record.
    pub(super) fn attempt(&self, why: &NoSignature, before: u32, now: Timestamp) -> Attempt {
        let gives_up = why.retry == Retry::Never;
        let state = if gives_up {
            AttestationState::Failed
        } else {
            AttestationState::Recorded
        };
        let repeats = !gives_up && self.repeats_by_itself();
        Attempt {
            state,
            error: why.reason.clone(),
            at: now,
            next_at: repeats.then(|| now.saturating_add(self.backoff(before))),
        }
    }

    /// An embedded instance has nobody who would try again.
    pub(super) fn repeats_by_itself(&self) -> bool {
        self.target.mode != "embedded"
    }

    pub(super) async fn log_no_signature(&self, why: &NoSignature, attestation: &str, by: &str) {
        let fields = serde_json::json!({
            "code": why.code,
            "attestationId": attestation,
            "requestedBy": by,
            "next": why.next,
        });
        self.note(LogRow {
            at: self.now(),
            level: "error".to_owned(),
            component: "signing".to_owned(),
            message: why.reason.clone(),
            fields,
        })
        .await;
    }

    pub(super) fn active<'a>(
        &self,
        trust: &'a TrustState,
        profile: &ProfileName,
    ) -> std::result::Result<&'a KeyRecord, NoSignature> {
        let now = self.not_before(trust);
        let Some(key) = trust.active_key(profile, now) else {
            return Err(NoSignature {
                code: "signer.no-active-key",
                reason: format!("signing failed: profile {profile} has no active key"),
                next: format!("stella keys generate --profile {profile}"),
                retry: Retry::AfterOperator,
            });
        };
        if key.may_sign(now) {
            return Ok(key);
        }
        let end = key.own().and_then(|o| o.not_after);
        let end = end.map_or_else(String::new, |t| format!(" since {t}"));
        Err(NoSignature {
            code: "signer.key-expired",
            reason: format!(
                "signing failed: {} is past the age its profile allows{end}",
                key.id
            ),
            next: format!("stella keys generate --profile {profile}, then stella keys activate KEY"),
            retry: Retry::AfterOperator,
        })
    }

    fn refused(&self, trust: &TrustState, key: &KeyRecord, error: &SignError) -> NoSignature {
        let text = error.to_string();
        let text = text.strip_prefix("signing failed: ").unwrap_or(&text);
        NoSignature {
            code: error.code(),
            reason: match error {
                SignError::MessageTooLarge { .. } => {
                    format!("signing failed: {}: {text} ({})", key.id, aws_kms::WHY_LIMITED)
                }
                _ => format!("signing failed: {}: {text}", key.id),
            },
            next: match error.retry() {
                Retry::Later | Retry::AfterOperator => {
                    match key.own().and_then(|o| signers::diagnosis(&o.store)) {
                        Some(diagnosis) => format!("{diagnosis}, then {RETRY}"),
                        None if error.retry() == Retry::Later => RETRY.to_owned(),
                        None => format!("stella attest test-sign, then {RETRY}"),
                    }
                }
                Retry::Never => self.profiles_that_can(trust, error),
            },
            retry: error.retry(),
        }
    }

    /// Which profiles would sign what this key never will.
    fn profiles_that_can(&self, trust: &TrustState, error: &SignError) -> String {
        let now = self.not_before(trust);
        let takes = |store: &str, algorithm: Algorithm| {
            let limit = aws_kms::message_limit(store, algorithm);
            !matches!(error, SignError::MessageTooLarge { actual, .. } if limit.is_some_and(|l| l < *actual))
        };
        let mut able = Vec::new();
        let mut without_key = Vec::new();
        for (name, profile) in &self.settings.profiles {
            match trust.active_key(name, now).map(|key| (key, key.own())) {
                Some((key, Some(own))) if takes(&own.store, key.public_key.algorithm()) => {
                    able.push(name.as_str())
                }
                None if takes(&profile.key_store, profile.algorithm) => without_key.push(name.as_str()),
                _ => {}
            }
        }
        match (able.as_slice(), without_key.as_slice()) {
            ([], []) => {
                "give a profile a key store that can sign it, then stella attest create --profile".to_owned()
            }
            ([], [first, ..]) => {
                format!("stella keys generate --profile {first}, then stella attest create --profile {first}")
            }
            ([only], _) => format!("stella attest create --profile {only}"),
            ([first, rest @ ..], _) => {
                format!("stella attest create --profile {first} (or {})", rest.join(", "))
            }
        }
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let settings = &self.settings.signing;
        settings
            .retry_first
            .saturating_mul(1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX))
            .min(settings.retry_max)
    }
}
