//! What KMS, or the way to it, answered instead of what was asked for: told
//! apart by what mends it.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use super::KmsKeyRef;
use crate::{GenerateError, SignError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// KMS limits the account's rate.
    Throttled,
    /// We limit our own, and the turn would come too late.
    Quota,
    /// No connection, or one that broke.
    Unreachable,
    TimedOut,
    /// KMS has a fault of its own.
    Broken,
    /// One key cannot be reached behind KMS; AWS says to try again.
    KeyUnavailable,
    Unauthenticated,
    NotFound,
    /// There, and not fit to sign: disabled, to be deleted, of another use.
    KeyUnusable,
    Unexpected,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub kind: Kind,
    /// The name of the error where KMS answered.
    code: String,
    detail: String,
    attempts: u32,
}

impl Failure {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: String::new(),
            detail: short(&detail.into()),
            attempts: 1,
        }
    }

    pub fn timed_out(after: Duration) -> Self {
        Self::new(Kind::TimedOut, format!("no answer within {after:?}"))
    }

    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let SdkError::ServiceError(answer) = error {
            let meta = answer.err().meta();
            let code = meta.code().unwrap_or_default();
            let status = answer.raw().status().as_u16();
            let said = match meta.message() {
                Some(said) => said.to_owned(),
                None => format!("HTTP {status}, {}", chain(answer.err())),
            };
            return Self {
                code: short(code),
                ..Self::new(kind_of(code, status), said)
            };
        }
        if let Some(refused) = credentials(error) {
            return refused;
        }
        let kind = match error {
            SdkError::TimeoutError(_) => Kind::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::TimedOut,
            // Not a request that cannot be sent at all: that is ours to mend.
            SdkError::DispatchFailure(failure) if !failure.is_user() => Kind::Unreachable,
            SdkError::ResponseError(_) => Kind::Broken,
            _ => Kind::Unexpected,
        };
        Self::new(kind, chain(error))
    }

    #[must_use]
    pub fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    pub fn sign_error(&self, key: &KmsKeyRef) -> SignError {
        let text = self.text(key);
        match self.kind {
            Kind::Throttled | Kind::Quota | Kind::Unreachable | Kind::Broken => SignError::Unavailable(text),
            Kind::TimedOut => SignError::TimedOut(text),
            Kind::Unauthenticated => SignError::Unauthenticated(text),
            // Of no use to ask for it again before somebody has mended it, and
            // of no use for other keys in KMS to be thought down.
            Kind::NotFound | Kind::KeyUnusable | Kind::KeyUnavailable => SignError::KeyMissing(text),
            Kind::Unexpected => SignError::Internal(text),
        }
    }

    pub fn generate_error(&self, key: &KmsKeyRef) -> GenerateError {
        let text = self.text(key);
        match self.kind {
            Kind::Unexpected => GenerateError::Internal(text),
            _ => GenerateError::Unavailable(text),
        }
    }

    /// What happened, and what mends it.
    fn text(&self, key: &KmsKeyRef) -> String {
        let key_id = key.key_id();
        let mut text = format!("AWS KMS, key {key_id}: ");
        if !self.code.is_empty() {
            let _ = write!(text, "{}: ", self.code);
        }
        text.push_str(self.detail.trim_end_matches('.'));
        if self.attempts > 1 {
            let _ = write!(text, " ({} attempts)", self.attempts);
        }
        if let Some(mend) = self.mend(&key_id) {
            let _ = write!(text, "; {mend}");
        }
        text
    }

    fn mend(&self, key_id: &str) -> Option<String> {
        Some(match self.kind {
            Kind::Throttled => "lower kms.aws.requestsPerSecond or have the quota raised: \
                 aws service-quotas list-service-quotas --service-code kms"
                .to_owned(),
            Kind::Unauthenticated => match self.code.as_str() {
                "AccessDeniedException" => format!(
                    "grant it to the one whom aws sts get-caller-identity names: \
                     aws kms get-key-policy --key-id {key_id} --policy-name default"
                ),
                _ => "see whose credentials are found: aws sts get-caller-identity".to_owned(),
            },
            Kind::NotFound => {
                format!("see that account and region are the key's: aws kms describe-key --key-id {key_id}")
            }
            Kind::KeyUnusable if self.code == "DisabledException" => {
                format!("enable it: aws kms enable-key --key-id {key_id}")
            }
            Kind::KeyUnusable if self.detail.to_ascii_lowercase().contains("pending deletion") => format!(
                "stop that: aws kms cancel-key-deletion --key-id {key_id}, then aws kms enable-key --key-id {key_id}"
            ),
            Kind::KeyUnusable | Kind::KeyUnavailable => {
                format!("see its state: aws kms describe-key --key-id {key_id}")
            }
            Kind::Quota => "raise kms.aws.requestsPerSecond if the account's quota allows".to_owned(),
            Kind::Unreachable | Kind::TimedOut | Kind::Broken | Kind::Unexpected => return None,
        })
    }
}

/// The common errors of AWS and those of KMS.
fn kind_of(code: &str, status: u16) -> Kind {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException" => Kind::Throttled,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired" => Kind::Unauthenticated,
        "NotFoundException" => Kind::NotFound,
        "DisabledException" | "KMSInvalidStateException" | "InvalidKeyUsageException" => Kind::KeyUnusable,
        "KeyUnavailableException" => Kind::KeyUnavailable,
        "DependencyTimeoutException"
        | "KMSInternalException"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Kind::Broken,
        _ if status == 429 => Kind::Throttled,
        _ if status >= 500 => Kind::Broken,
        // Neither an error nor anything that can be read.
        "" if status < 400 => Kind::Broken,
        _ => Kind::Unexpected,
    }
}

/// Credentials are looked for before anything is sent.
fn credentials(error: &(dyn Error + 'static)) -> Option<Failure> {
    let mut source = Some(error);
    while let Some(e) = source {
        if let Some(refused) = e.downcast_ref::<CredentialsError>() {
            let kind = match refused {
                CredentialsError::ProviderTimedOut(_) => Kind::TimedOut,
                _ => Kind::Unauthenticated,
            };
            return Some(Failure::new(kind, format!("no credentials: {}", chain(refused))));
        }
        source = e.source();
    }
    None
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        let said = e.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        source = e.source();
    }
    text
}

/// Somebody else's words, for one line of ours.
fn short(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_DETAIL)
        .collect()
}

const MAX_DETAIL: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retry;

    fn key() -> KmsKeyRef {
        "pay".parse().expect("an alias")
    }

    fn failure(code: &str, status: u16, detail: &str) -> Failure {
        Failure {
            code: code.to_owned(),
            ..Failure::new(kind_of(code, status), detail)
        }
    }

    #[test]
    fn each_error_of_kms_is_told_apart_and_named_with_what_mends_it() {
        for (code, status, detail, stable, mend) in [
            (
                "ThrottlingException",
                400,
                "Rate exceeded",
                "signer.unavailable",
                "requestsPerSecond",
            ),
            (
                "AccessDeniedException",
                400,
                "not authorized to perform: kms:Sign",
                "signer.unauthenticated",
                "get-key-policy --key-id alias/pay",
            ),
            (
                "UnrecognizedClientException",
                400,
                "the token is invalid",
                "signer.unauthenticated",
                "get-caller-identity",
            ),
            (
                "ExpiredTokenException",
                400,
                "the token has expired",
                "signer.unauthenticated",
                "get-caller-identity",
            ),
            (
                "NotFoundException",
                400,
                "Alias alias/pay is not found.",
                "signer.key-missing",
                "describe-key",
            ),
            (
                "DisabledException",
                400,
                "is disabled.",
                "signer.key-missing",
                "enable-key --key-id alias/pay",
            ),
            (
                "KMSInvalidStateException",
                400,
                "arn is pending deletion.",
                "signer.key-missing",
                "cancel-key-deletion",
            ),
            (
                "KMSInvalidStateException",
                400,
                "arn is pending import.",
                "signer.key-missing",
                "describe-key",
            ),
            (
                "InvalidKeyUsageException",
                400,
                "",
                "signer.key-missing",
                "describe-key",
            ),
            (
                "KeyUnavailableException",
                500,
                "",
                "signer.key-missing",
                "describe-key",
            ),
            (
                "KMSInternalException",
                500,
                "",
                "signer.unavailable",
                "KMSInternalException",
            ),
            ("", 503, "busy", "signer.unavailable", "busy"),
            ("", 429, "busy", "signer.unavailable", "requestsPerSecond"),
            (
                "ValidationException",
                400,
                "1 validation error",
                "signer.internal",
                "ValidationException",
            ),
        ] {
            let error = failure(code, status, detail).sign_error(&key());
            assert_eq!(error.code(), stable, "{code}");
            assert_ne!(
                error.retry(),
                Retry::Never,
                "{code}: no record is given up for it"
            );
            assert!(error.to_string().contains(mend), "{code}: {error}");
            assert!(error.to_string().contains(code), "{code}: {error}");
        }
    }

    #[test]
    fn other_peoples_words_stay_on_one_line_and_end() {
        let long = format!("one\ntwo\x1b[31m{}", "x".repeat(10_000));
        let error = failure("NotFoundException", 400, &long)
            .sign_error(&key())
            .to_string();
        assert!(error.len() < 1_000 && !error.contains(['\n', '\x1b']), "{error}");
    }

    #[test]
    fn how_often_it_was_tried_is_said() {
        let error = failure("ThrottlingException", 400, "Rate exceeded.")
            .after(5)
            .sign_error(&key());
        assert!(
            error.to_string().contains("Rate exceeded (5 attempts); lower"),
            "{error}"
        );
    }
}
