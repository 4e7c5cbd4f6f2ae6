//! A question as people type it, parsed once: which artifact, under which
//! name, at which moments.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::verify::Times;
use crate::evidence::TimeClass;
use crate::predicate::PredicateType;
use crate::purl::SubjectName;
use crate::statement::DigestSet;
use crate::time::Timestamp;
use crate::verify::artifact::Artifact;

/// A question that makes no sense, and how to ask it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadQuestion {
    pub code: &'static str,
    pub message: String,
    pub next: Option<String>,
}

impl BadQuestion {
    fn new(code: &'static str, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
            next: None,
        }
    }

    fn next(self, command: impl Into<String>) -> Self {
        Self {
            next: Some(command.into()),
            ..self
        }
    }
}

/// What is asked about a document: each part of it may be left out.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub artifact: Option<Artifact>,
    pub name: Option<SubjectName>,
    pub types: BTreeSet<PredicateType>,
}

impl Wanted {
    pub fn parse(
        digests: BTreeMap<String, String>,
        purl: Option<&str>,
        require_types: &[String],
    ) -> Result<Self, BadQuestion> {
        let name = purl.map(name).transpose()?;
        let types = types(require_types)?;
        let artifact = digest(digests)?.map(|digest| Artifact {
            digest,
            name: name.clone(),
            require_types: types.clone(),
        });
        Ok(Self {
            artifact,
            name,
            types,
        })
    }
}

/// `None` where no digest was given.
fn digest(digests: BTreeMap<String, String>) -> Result<Option<DigestSet>, BadQuestion> {
    if digests.is_empty() {
        return Ok(None);
    }
    let digest = DigestSet::new(digests)
        .map_err(|e| BadQuestion::new("digest.syntax", format!("the digest cannot be read: {e}")))?;
    if digest.accepted().next().is_none() {
        return Err(BadQuestion::new(
            "digest.weak",
            format!("{digest} identifies no artifact: give sha256 or a stronger digest"),
        ));
    }
    Ok(Some(digest))
}

fn name(text: &str) -> Result<SubjectName, BadQuestion> {
    SubjectName::parse(text).map_err(|e| BadQuestion::new("purl.syntax", format!("{text:?}: {e}")))
}

fn types(names: &[String]) -> Result<BTreeSet<PredicateType>, BadQuestion> {
    names
        .iter()
        .map(|n| PredicateType::from_name(n).map_err(|e| BadQuestion::new("predicate.unknown", e)))
        .collect()
}

/// The moments of a question, checked against each other and the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    pub as_of: Option<Timestamp>,
    pub now: Option<Timestamp>,
    pub at_time: Option<Timestamp>,
    pub min_time_evidence: Option<TimeClass>,
}

impl Moments {
    pub fn parse(times: &Times, present: Timestamp) -> Result<Self, BadQuestion> {
        let parsed = |text: &Option<String>| text.as_deref().map(|t| moment(t, present)).transpose();
        let (as_of, now, at_time) = (
            parsed(&times.as_of)?,
            parsed(&times.now)?,
            parsed(&times.at_time)?,
        );
        let min_time_evidence = times
            .min_time_evidence
            .as_deref()
            .map(|c| c.parse().map_err(|e| BadQuestion::new("time.class", e)))
            .transpose()?;
        if as_of.is_some() && now.is_some() {
            return Err(BadQuestion::new(
                "time.conflict",
                "--as-of and --now cannot be asked together",
            ));
        }
        if let Some(now) = now.filter(|now| *now < present) {
            let message = format!("--now {now} is in the past; it simulates a later verifier");
            return Err(BadQuestion::new("time.in-past", message)
                .next(format!("ask what was known then with --as-of {now}")));
        }
        if let Some(as_of) = as_of {
            in_past("--as-of", as_of, present)?;
        }
        if let Some(at_time) = at_time {
            in_past("--at-time", at_time, as_of.unwrap_or(present))?;
        }
        Ok(Self {
            as_of,
            now,
            at_time,
            min_time_evidence,
        })
    }

    /// About the present, under the anchors' own rules.
    pub fn are_plain(&self) -> bool {
        *self
            == Self {
                as_of: None,
                now: None,
                at_time: None,
                min_time_evidence: None,
            }
    }
}

/// RFC 3339, a bare date (its first instant, UTC), or `NOW`.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, BadQuestion> {
    if text.eq_ignore_ascii_case("now") {
        return Ok(now);
    }
    let full = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    full.parse().map_err(|_| {
        BadQuestion::new(
            "time.syntax",
            format!("{text:?} is not a time: write RFC 3339 such as 2025-02-01T00:00:00Z, a date, or NOW"),
        )
    })
}

fn in_past(flag: &str, asked: Timestamp, present: Timestamp) -> Result<(), BadQuestion> {
    if asked <= present {
        return Ok(());
    }
    let message = format!("{flag} {asked} is in the future; it is {present} now");
    Err(BadQuestion::new("time.in-future", message).next("simulate a later verifier with --now"))
}
