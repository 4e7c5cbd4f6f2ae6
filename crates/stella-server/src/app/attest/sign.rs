//! One signature: the active key is asked, and while it cannot, those that
//! stand by for it; the signature is seen to verify before anything is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stella_core::alg::{Algorithm, Seen};
use stella_core::digest::Sha256;
use stella_core::dsse::{self, Envelope, EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE};
use stella_core::id::ProfileName;
use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, TrustState};
use stella_keys::pool::Role;
use stella_keys::{Retry, Sign, SignError, VerifiedSignature, sign_verified_async};
use stella_store::{Attempt, AttestationState, LedgerKey, LogRow, Signed, SignedHere};

use crate::app::error::{Error, ErrorKind, Result};
use crate::app::pool::{Candidate, NoCandidate};
use crate::app::{App, aws_kms, signers};

/// How often a key is chosen anew when it changes while it signs.
pub(super) const MAX_TRIES: usize = 8;
/// The same where an event goes with the signature: of those who append at the
/// same time one gets its turn, and the others decide anew.
pub(super) const MAX_TRIES_WITH_EVENT: usize = 64;

/// Why there is no signature, and what mends that.
#[derive(Debug, Clone)]
pub(super) struct NoSignature {
    pub code: &'static str,
    pub reason: String,
    pub next: String,
    pub retry: Retry,
    /// Whether a store was asked: otherwise it cost the record no attempt.
    pub attempted: bool,
}

impl NoSignature {
    fn from_error(error: Error) -> Self {
        let next = error.next.unwrap_or_else(|| RETRY.to_owned());
        Self {
            code: "signer.unavailable",
            reason: format!("signing failed: {}", error.message),
            next,
            retry: Retry::AfterOperator,
            attempted: true,
        }
    }

    /// Of all that were asked, what the active key's store said first. A
    /// record is given up only when none of them will ever sign it.
    fn of_all(failed: Vec<Self>) -> Self {
        let hopeful = failed.iter().find(|why| why.retry != Retry::Never);
        let retry = hopeful.map_or(Retry::Never, |why| why.retry);
        let reasons: Vec<_> = failed.iter().map(|why| why.reason.as_str()).collect();
        let reason = reasons.join("; then ");
        match failed.first() {
            Some(first) => Self {
                reason,
                retry,
                ..hopeful.unwrap_or(first).clone()
            },
            None => Self::contended(),
        }
    }

    pub fn unreadable(error: &Error) -> Self {
        Self {
            code: "signer.refused",
            reason: format!("signing failed: {}", error.message),
            next: "stella attest integrity-check ID, or raise the limit it names".to_owned(),
            retry: Retry::Never,
            attempted: true,
        }
    }

    pub fn contended() -> Self {
        Self {
            code: "signer.contended",
            reason: "signing failed: the signing key kept changing".to_owned(),
            next: RETRY.to_owned(),
            retry: Retry::Later,
            attempted: true,
        }
    }
}

/// What is to be stored, and what was seen of it on the way.
pub(super) struct Made {
    pub signed: Signed,
    pub seen: Seen,
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
    ) -> Result<std::result::Result<Made, NoSignature>> {
        if let Err(why) = self.active(trust, profile) {
            return Ok(Err(why));
        }
        let candidates = match self.keys_to_ask(trust, profile) {
            Ok(candidates) => candidates,
            Err(why) => return Ok(Err(self.nobody(trust, profile, why))),
        };
        let pae = dsse::pae(IN_TOTO_PAYLOAD_TYPE, payload);
        let end = Instant::now() + self.settings.signing.deadline;
        let mut failed = Vec::new();
        let active_asked = candidates.iter().any(|c| c.role == Role::Active);
        let mut left = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        let mut candidates = candidates.into_iter().peekable();
        while let Some(candidate) = candidates.next() {
            // One that hangs leaves those after it their part of the time.
            let within = end.saturating_duration_since(Instant::now()) / left;
            left -= 1;
            match self.signature(trust, &candidate, pae.clone(), within).await? {
                Ok(signature) => {
                    self.log_stood_in(profile, &candidate, &failed, requested_by)
                        .await;
                    return Ok(Ok(self.signed(
                        trust,
                        candidate.key,
                        payload,
                        signature,
                        requested_by,
                    )));
                }
                // Another key might sign what KMS finds too long. It stands
                // by for outages, and this is none.
                Err(why)
                    if why.code == TOO_LARGE
                        && candidate.role == Role::Active
                        && candidates.peek().is_none_or(|next| next.role == Role::Standby) =>
                {
                    return Ok(Err(why));
                }
                Err(why) => failed.push(why),
            }
        }
        let mut why = NoSignature::of_all(failed);
        if !active_asked && why.retry == Retry::Never {
            // The active key will, once its store is back.
            why.retry = Retry::Later;
        }
        Ok(Err(why))
    }

    async fn signature(
        &self,
        trust: &TrustState,
        candidate: &Candidate<'_>,
        pae: Vec<u8>,
        within: Duration,
    ) -> Result<std::result::Result<VerifiedSignature, NoSignature>> {
        let key = candidate.key;
        let signer = match self.signer_in(key, candidate.uri).await {
            Ok(signer) => signer,
            Err(e) if e.kind == ErrorKind::Internal || e.code.starts_with("store.") => return Err(e),
            Err(e) => {
                if let Some(store) = &candidate.store {
                    let error = SignError::Unavailable(e.message.clone());
                    self.note_request(store, Err(&error)).await;
                }
                return Ok(Err(NoSignature::from_error(e)));
            }
        };
        let result = self.sign_within(signer, pae, within).await;
        if let Some(store) = &candidate.store {
            self.note_request(store, result.as_ref().map(drop)).await;
        }
        Ok(result.map_err(|e| self.refused(trust, candidate, &e)))
    }

    fn signed(
        &self,
        trust: &TrustState,
        key: &KeyRecord,
        payload: &[u8],
        signature: VerifiedSignature,
        requested_by: &str,
    ) -> Made {
        let seen = signature.into_seen();
        let ledger = LedgerKey {
            pae: seen.message(),
            spki: seen.key(),
            signature: Sha256::of(seen.signature()),
        };
        let envelope = Envelope {
            payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: payload.to_vec(),
            signatures: vec![EnvelopeSignature {
                keyid: Some(key.id.to_string()),
                sig: seen.signature().to_vec(),
            }],
        };
        let signed = Signed {
            envelope: envelope.to_json(),
            recorded_at: self.not_before(trust),
            by: Some(SignedHere {
                key_id: key.id.clone(),
                key_version: key.version,
                ledger,
                requested_by: requested_by.to_owned(),
            }),
            events: None,
        };
        Made { signed, seen }
    }

    /// Nobody was asked.
    fn nobody(&self, trust: &TrustState, profile: &ProfileName, why: NoCandidate) -> NoSignature {
        let (code, reason, next) = match why {
            NoCandidate::Down { store, why } => (
                "signer.paused",
                format!("signing failed: {store} is down and was not asked: {why}"),
                "stella doctor --check check.attestor.signing-health".to_owned(),
            ),
            NoCandidate::Mode => (
                "signer.mode",
                format!(
                    "signing failed: signing.mode is {}, and profile {profile} has no such key",
                    self.signing_mode_of(trust, profile).as_str()
                ),
                "stella attest config unset signing.mode".to_owned(),
            ),
        };
        NoSignature {
            code,
            reason,
            next,
            retry: Retry::Later,
            attempted: false,
        }
    }

    async fn log_stood_in(
        &self,
        profile: &ProfileName,
        candidate: &Candidate<'_>,
        failed: &[NoSignature],
        by: &str,
    ) {
        // While its store is known to be down, that was told once.
        let Some(first) = failed.first() else {
            return;
        };
        let key = &candidate.key.id;
        self.note(LogRow {
            at: self.now(),
            level: "warn".to_owned(),
            component: "signing".to_owned(),
            message: match candidate.role {
                Role::Standby => format!(
                    "{key} stood in for the active key of profile {profile}: {}",
                    first.reason
                ),
                Role::Active => format!(
                    "{key} of profile {profile} signed in {}: {}",
                    candidate.store.as_deref().unwrap_or(candidate.uri),
                    first.reason
                ),
            },
            fields: serde_json::json!({
                "by": "failover",
                "code": first.code,
                "profile": profile.as_str(),
                "keyId": key.as_str(),
                "requestedBy": by,
            }),
        })
        .await;
    }

    /// What blocks is moved off the async threads. Past the deadline the signature may still
    /// be made; nobody waits for it and nobody gets it.
    pub(in crate::app) async fn sign_within_deadline(
        &self,
        signer: Arc<dyn Sign>,
        message: Vec<u8>,
    ) -> std::result::Result<VerifiedSignature, SignError> {
        self.sign_within(signer, message, self.settings.signing.deadline)
            .await
    }

    async fn sign_within(
        &self,
        signer: Arc<dyn Sign>,
        message: Vec<u8>,
        deadline: Duration,
    ) -> std::result::Result<VerifiedSignature, SignError> {
        let signing = sign_verified_async(signer, message, |blocks| async {
            let done = tokio::task::spawn_blocking(blocks).await;
            done.unwrap_or_else(|_| Err(SignError::Internal("the signer broke off".to_owned())))
        });
        match tokio::time::timeout(deadline, signing).await {
            Ok(outcome) => outcome,
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
    pub(in crate::app) fn repeats_by_itself(&self) -> bool {
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
                attempted: true,
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
            attempted: true,
        })
    }

    fn refused(&self, trust: &TrustState, asked: &Candidate<'_>, error: &SignError) -> NoSignature {
        let key = asked.key;
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
                Retry::Later | Retry::AfterOperator => match signers::diagnosis(asked.uri) {
                    Some(diagnosis) => format!("{diagnosis}, then {RETRY}"),
                    None if error.retry() == Retry::Later => RETRY.to_owned(),
                    None => format!("stella attest test-sign, then {RETRY}"),
                },
                Retry::Never => self.profiles_that_can(trust, error),
            },
            retry: error.retry(),
            attempted: true,
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
        let whole = settings
            .retry_first
            .saturating_mul(1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX))
            .min(settings.retry_max);
        // A part is left out, so that what failed together is not tried in step.
        let left_out = f64::from(self.chance()) / f64::from(u32::MAX);
        whole - (whole / 2).mul_f64(left_out)
    }
}

const TOO_LARGE: &str = "signer.message-too-large";
