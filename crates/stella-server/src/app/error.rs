//! What a use case can answer besides success: one closed type, told once, at
//! the edge.

use std::fmt;

use serde_json::Value;
use stella_core::trust::decide::{Refusal, RefusalKind};
use stella_store::StoreError;

use crate::entropy::NoEntropy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request makes no sense as it stands.
    Invalid,
    TooLarge,
    Unauthenticated,
    Denied,
    NotFound,
    /// The present state does not allow it.
    Conflict,
    /// Understood, and refused for what it would do.
    Refused,
    /// A backend does not answer; nothing was done, so it may be repeated.
    Unavailable,
    /// Ours to mend. The detail goes to the log, not to the client.
    Internal,
}

#[derive(Debug, Clone)]
pub struct Error {
    pub kind: ErrorKind,
    /// Stable.
    pub code: String,
    pub message: String,
    pub causes: Vec<String>,
    /// The command that mends it.
    pub next: Option<String>,
    pub trace: Option<Box<Value>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            causes: Vec::new(),
            next: None,
            trace: None,
        }
    }

    pub fn invalid(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, code, message.to_string())
    }

    pub fn not_found(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, code, message)
    }

    pub fn conflict(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, code, message)
    }

    pub fn denied(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, code, message)
    }

    pub fn unavailable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, code, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, "internal", message)
    }

    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    #[must_use]
    pub fn caused_by(mut self, cause: &dyn std::error::Error) -> Self {
        let mut source = Some(cause);
        while let Some(e) = source {
            self.causes.push(e.to_string());
            source = e.source();
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::NotFound => ErrorKind::NotFound,
            RefusalKind::Conflict => ErrorKind::Conflict,
            RefusalKind::Invalid => ErrorKind::Invalid,
        };
        Self {
            next: refusal.next,
            ..Self::new(kind, refusal.code, refusal.message)
        }
    }
}

impl From<stella_core::verify::ask::BadQuestion> for Error {
    fn from(bad: stella_core::verify::ask::BadQuestion) -> Self {
        Self {
            next: bad.next,
            ..Self::invalid(bad.code, bad.message)
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => {
                Self::unavailable("store.unavailable", error.to_string())
                    .next("see that the store can be reached and has room (stella db status, df -h), then repeat: nothing was written")
            }
            StoreError::Unknown(_) => Self::unavailable("store.unknown-outcome", error.to_string())
                .next("repeat with the same Idempotency-Key; it is not done twice"),
            StoreError::Corrupt(_) => {
                Self::new(ErrorKind::Internal, "store.corrupt", error.to_string()).next("stella db verify")
            }
            StoreError::Missing(_) => Self::new(ErrorKind::Unavailable, "store.missing", error.to_string())
                .next("restore the database from a backup"),
            StoreError::Unstorable(_) => Self::invalid("store.unstorable", error.to_string())
                .next("take U+0000 out of the text, then repeat: nothing was written"),
            StoreError::Moved(_) => Self::unavailable("store.moved", error.to_string()),
            StoreError::Schema(_) => Self::new(ErrorKind::Unavailable, "store.schema", error.to_string()),
        }
    }
}

impl From<NoEntropy> for Error {
    fn from(error: NoEntropy) -> Self {
        Self::unavailable("entropy.unavailable", error.to_string())
    }
}
