//! What a check found. One that is not good has a cause and a command.

use stella_core::api::doctor::{DoctorFinding, Health};

use crate::app::Error;

#[derive(Debug, Clone)]
pub struct Finding {
    measured: String,
    verdict: Verdict,
}

#[derive(Debug, Clone)]
enum Verdict {
    Skip,
    Pass,
    Warn(Mend),
    Fail(Mend),
}

#[derive(Debug, Clone)]
struct Mend {
    cause: String,
    next: String,
}

impl Finding {
    pub fn skip(measured: impl Into<String>) -> Self {
        Self {
            measured: measured.into(),
            verdict: Verdict::Skip,
        }
    }

    pub fn pass(measured: impl Into<String>) -> Self {
        Self {
            measured: measured.into(),
            verdict: Verdict::Pass,
        }
    }

    pub fn warn(measured: impl Into<String>, cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            measured: measured.into(),
            verdict: Verdict::Warn(Mend {
                cause: cause.into(),
                next: next.into(),
            }),
        }
    }

    pub fn fail(measured: impl Into<String>, cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            measured: measured.into(),
            verdict: Verdict::Fail(Mend {
                cause: cause.into(),
                next: next.into(),
            }),
        }
    }

    pub fn from_error(error: &Error) -> Self {
        let cause = match error.causes.as_slice() {
            [] => error.code.clone(),
            causes => causes.join(": "),
        };
        let next = error.next.clone();
        Self::fail(
            &error.message,
            cause,
            next.unwrap_or_else(|| "stella attest logs --level error --last 30m".to_owned()),
        )
    }
}

impl From<Finding> for DoctorFinding {
    fn from(finding: Finding) -> Self {
        let (status, mend) = match finding.verdict {
            Verdict::Skip => (Health::Skip, None),
            Verdict::Pass => (Health::Pass, None),
            Verdict::Warn(mend) => (Health::Warn, Some(mend)),
            Verdict::Fail(mend) => (Health::Fail, Some(mend)),
        };
        let (cause, next) = mend.map(|mend| (mend.cause, mend.next)).unzip();
        Self {
            status,
            measured: finding.measured,
            cause,
            next,
        }
    }
}
