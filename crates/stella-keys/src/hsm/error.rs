//! What went wrong with a module, in the classes by which callers act.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ModuleKind;
use crate::{GenerateError, SignError};

/// What a failure means for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// A session was lost, and again when it was opened anew.
    Session,
    /// The module or what is behind it is down: its worker is restarted.
    Module,
    /// It did not answer within its deadline: its worker was killed.
    TimedOut,
    /// The token does not let us in. Never tried again by itself.
    Auth,
    /// The key is not there, or more than one fits.
    KeyMissing,
    /// The module works and cannot do what it was asked: another token or
    /// mechanism is needed. Asking again gives the same answer.
    Config,
}

impl ErrorClass {
    /// Whether it speaks against the module, and not against the request: what
    /// a circuit breaker counts.
    pub fn counts_against_module(self) -> bool {
        matches!(self, Self::Session | Self::Module | Self::TimedOut)
    }
}

/// Why a module did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmError {
    pub class: ErrorClass,
    /// The module's name in the configuration.
    pub module: String,
    /// The function that failed, such as `C_Sign`.
    pub function: Option<Cow<'static, str>>,
    /// What it answered, such as `CKR_DEVICE_ERROR`.
    pub ckr: Option<Cow<'static, str>>,
    /// What this means, in words.
    pub detail: String,
    /// The deadline that passed.
    pub deadline: Option<Duration>,
    /// The worker was killed or is gone.
    pub worker_killed: bool,
    pub kind: ModuleKind,
}

impl HsmError {
    pub fn new(class: ErrorClass, module: &str, detail: impl Into<String>) -> Self {
        Self {
            class,
            module: module.to_owned(),
            function: None,
            ckr: None,
            detail: detail.into(),
            deadline: None,
            worker_killed: false,
            kind: ModuleKind::Pkcs11,
        }
    }

    /// The same, of a module of this kind.
    pub fn of(self, kind: ModuleKind) -> Self {
        Self { kind, ..self }
    }

    /// Stable: scripts and traces rely on it.
    pub fn code(&self) -> &'static str {
        match self.class {
            ErrorClass::Session => "hsm.session",
            ErrorClass::Module => "hsm.unavailable",
            ErrorClass::TimedOut => "hsm.timed-out",
            ErrorClass::Auth => "hsm.unauthenticated",
            ErrorClass::KeyMissing => "hsm.key-missing",
            ErrorClass::Config => "hsm.refused",
        }
    }
}

/// The words that runbooks and log searches go by come first.
impl fmt::Display for HsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.class, self.kind) {
            (ErrorClass::Session, _) => "HSM session timeout",
            (ErrorClass::Module | ErrorClass::TimedOut, _) => "HSM unavailable",
            (_, ModuleKind::Pkcs11) => "PKCS#11 operation failed",
            (_, ModuleKind::Local) => "local HSM operation failed",
        })?;
        let what = match self.kind {
            ModuleKind::Pkcs11 => "module",
            ModuleKind::Local => "local HSM",
        };
        write!(f, ": {what} \"{}\"", self.module)?;
        match (&self.function, self.deadline) {
            (Some(function), Some(deadline)) => {
                write!(f, " did not answer {function} within {}", Seconds(deadline))?;
            }
            (None, Some(deadline)) => write!(f, " did not answer within {}", Seconds(deadline))?,
            (Some(function), None) => write!(f, ", {function}")?,
            (None, None) => {}
        }
        match (&self.ckr, self.worker_killed) {
            (Some(ckr), true) => write!(f, " ({ckr}, worker killed)")?,
            (Some(ckr), false) => write!(f, " ({ckr})")?,
            (None, true) => f.write_str(" (worker killed)")?,
            (None, false) => {}
        }
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for HsmError {}

impl From<HsmError> for SignError {
    fn from(e: HsmError) -> Self {
        let text = e.to_string();
        match e.class {
            ErrorClass::Session | ErrorClass::Module => Self::Unavailable(text),
            ErrorClass::TimedOut => Self::TimedOut(text),
            ErrorClass::Auth => Self::Unauthenticated(text),
            ErrorClass::KeyMissing => Self::KeyMissing(text),
            ErrorClass::Config => Self::Refused(text),
        }
    }
}

impl From<HsmError> for GenerateError {
    fn from(e: HsmError) -> Self {
        let text = e.to_string();
        match e.class {
            ErrorClass::Session | ErrorClass::Module | ErrorClass::TimedOut => Self::Unavailable(text),
            ErrorClass::Auth => Self::Unauthenticated(text),
            ErrorClass::KeyMissing | ErrorClass::Config => Self::Refused(text),
        }
    }
}

/// `2 s`, `1.5 s`, `250 ms`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1000 {
            write!(f, "{millis} ms")
        } else {
            write!(f, "{} s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retry;

    #[test]
    fn a_hang_reads_like_this() {
        let error = HsmError {
            function: Some("C_Sign".into()),
            deadline: Some(Duration::from_secs(2)),
            worker_killed: true,
            ..HsmError::new(ErrorClass::TimedOut, "primary", "")
        };
        assert_eq!(
            error.to_string(),
            "HSM unavailable: module \"primary\" did not answer C_Sign within 2 s (worker killed)"
        );
    }

    #[test]
    fn an_answer_is_named_with_its_function() {
        let error = HsmError {
            function: Some("C_Login".into()),
            ckr: Some("CKR_PIN_INCORRECT".into()),
            ..HsmError::new(ErrorClass::Auth, "primary", "the token refused the PIN")
        };
        assert_eq!(
            error.to_string(),
            "PKCS#11 operation failed: module \"primary\", C_Login (CKR_PIN_INCORRECT): \
             the token refused the PIN"
        );
    }

    #[test]
    fn what_a_caller_does_follows_from_the_class() {
        let retry = |class| SignError::from(HsmError::new(class, "m", "")).retry();
        for (class, then) in [
            (ErrorClass::Session, Retry::Later),
            (ErrorClass::Module, Retry::Later),
            (ErrorClass::TimedOut, Retry::Later),
            (ErrorClass::Auth, Retry::AfterOperator),
            (ErrorClass::KeyMissing, Retry::AfterOperator),
        ] {
            assert_eq!(retry(class), then, "{class:?}");
        }
    }
}
