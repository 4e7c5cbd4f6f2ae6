//! The trace of a verdict: every check in order, the same on success and on
//! failure.

use std::fmt;

use serde::Serialize;

use crate::verify::code::Code;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// `envelope`, `anchor`, `signature`, ...
    pub name: &'static str,
    pub status: CheckStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    pub detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    Pass,
    Warn,
    Fail,
    Unknown,
    /// Not asked for here.
    Skip,
}

impl CheckStatus {
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Warn => "!",
            Self::Fail => "✗",
            Self::Unknown => "?",
            Self::Skip => "–",
        }
    }
}

impl Check {
    pub fn pass(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            status: CheckStatus::Pass,
            code: None,
            detail: detail.into(),
            children: Vec::new(),
        }
    }

    pub fn skip(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: CheckStatus::Skip,
            ..Self::pass(name, detail)
        }
    }

    pub fn warn(name: &'static str, code: Code, detail: impl Into<String>) -> Self {
        Self {
            status: CheckStatus::Warn,
            code: Some(code),
            ..Self::pass(name, detail)
        }
    }

    /// Failed or unknown, as the code says.
    pub fn stop(name: &'static str, code: Code, detail: impl Into<String>) -> Self {
        let status = match code.verdict() {
            crate::verify::Verdict::Pass => CheckStatus::Pass,
            crate::verify::Verdict::Fail => CheckStatus::Fail,
            crate::verify::Verdict::Indeterminate => CheckStatus::Unknown,
        };
        Self {
            status,
            code: Some(code),
            ..Self::pass(name, detail)
        }
    }

    #[must_use]
    pub fn with(mut self, children: Vec<Self>) -> Self {
        self.children = children;
        self
    }
}

/// What is told of a verdict while it is reached: every check, or nothing to
/// whoever will ask again if it is no PASS.
#[derive(Debug)]
pub(super) struct Trace(Option<Vec<Check>>);

impl Trace {
    pub fn whole() -> Self {
        Self(Some(Vec::new()))
    }

    pub fn untold() -> Self {
        Self(None)
    }

    /// An empty one, told as this is.
    pub fn alike(&self) -> Self {
        Self(self.0.as_ref().map(|_| Vec::new()))
    }

    pub fn is_told(&self) -> bool {
        self.0.is_some()
    }

    pub fn push(&mut self, check: impl FnOnce() -> Check) {
        if let Some(checks) = &mut self.0 {
            checks.push(check());
        }
    }

    pub fn extend(&mut self, more: Self) {
        if let Some(checks) = &mut self.0 {
            checks.extend(more.into_checks());
        }
    }

    pub fn into_checks(self) -> Vec<Check> {
        self.0.unwrap_or_default()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:<11} {}", self.status.symbol(), self.name, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_shows_how_it_ended() {
        let shown = [
            Check::pass("key", "a"),
            Check::warn("key", Code::SubjectUnbound, "b"),
            Check::stop("key", Code::KeyRevoked, "c"),
            Check::stop("key", Code::TimeNotProven, "d"),
            Check::stop("key", Code::Ok, "e"),
            Check::skip("key", "f"),
        ];
        let lines = shown.each_ref().map(ToString::to_string);
        let expected = ["✓", "!", "✗", "?", "✓", "–"].iter().zip('a'..);
        let expected: Vec<_> = expected.map(|(s, d)| format!("{s} key         {d}")).collect();
        assert_eq!(lines.to_vec(), expected);
        let codes = shown.map(|c| c.code);
        assert_eq!(
            codes,
            [
                None,
                Some(Code::SubjectUnbound),
                Some(Code::KeyRevoked),
                Some(Code::TimeNotProven),
                Some(Code::Ok),
                None
            ]
        );
    }
}
