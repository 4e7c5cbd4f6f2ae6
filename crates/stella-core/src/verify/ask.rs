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

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: &str = "2025-06-01T00:00:00Z";
    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn asked(set: impl FnOnce(&mut Times)) -> Result<Moments, BadQuestion> {
        let mut times = Times {
            at_time: None,
            as_of: None,
            now: None,
            min_time_evidence: None,
        };
        set(&mut times);
        Moments::parse(&times, at(PRESENT))
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_question_is_read_whole() {
        let digests = || BTreeMap::from([("sha256".to_owned(), HEX.to_owned())]);
        let types = ["cyclonedx".to_owned(), "openvex".to_owned()];
        let wanted = Wanted::parse(digests(), Some("pkg:npm/a@1"), &types).expect("a question");
        assert_eq!(wanted.name.as_ref().map(ToString::to_string), text("pkg:npm/a@1"));
        assert_eq!(wanted.types.len(), 2);
        let artifact = wanted.artifact.expect("an artifact");
        assert_eq!(artifact.digest.to_string(), format!("sha256:{HEX}"));
        assert_eq!(
            (artifact.name, artifact.require_types),
            (wanted.name, wanted.types)
        );

        let nothing = Wanted::parse(BTreeMap::new(), None, &[]).expect("a question");
        assert!(nothing.artifact.is_none() && nothing.name.is_none() && nothing.types.is_empty());
        let weak = BTreeMap::from([("sha1".to_owned(), "00".repeat(20))]);
        for (digests, purl, types, code) in [
            (weak, None, vec![], "digest.weak"),
            (
                BTreeMap::from([("sha256".to_owned(), "00".to_owned())]),
                None,
                vec![],
                "digest.syntax",
            ),
            (digests(), Some("pkg:"), vec![], "purl.syntax"),
            (digests(), None, vec!["sbon".to_owned()], "predicate.unknown"),
        ] {
            let refused = Wanted::parse(digests, purl, &types).expect_err(code);
            assert_eq!(refused.code, code);
        }
    }

    #[test]
    fn the_present_is_the_latest_to_ask_about_and_the_earliest_to_simulate() {
        for present in [PRESENT, "now", "2025-06-01"] {
            assert_eq!(
                asked(|t| t.as_of = text(present)).expect("the present").as_of,
                Some(at(PRESENT))
            );
            assert_eq!(
                asked(|t| t.now = text(present)).expect("the present").now,
                Some(at(PRESENT))
            );
        }
        let (before, after) = ("2025-05-31T23:59:59.999999Z", "2025-06-01T00:00:00.000001Z");
        assert_eq!(
            asked(|t| t.as_of = text(before)).expect("past").as_of,
            Some(at(before))
        );
        assert_eq!(
            asked(|t| t.now = text(after)).expect("later").now,
            Some(at(after))
        );

        let past = asked(|t| t.now = text(before)).expect_err("past");
        assert_eq!(past.code, "time.in-past");
        assert_eq!(
            past.next,
            Some(format!("ask what was known then with --as-of {before}"))
        );
        let future = asked(|t| t.as_of = text(after)).expect_err("future");
        assert_eq!(future.code, "time.in-future");
        assert_eq!(future.next, text("simulate a later verifier with --now"));
        // What was known then knew nothing of later.
        let later = asked(|t| (t.as_of, t.at_time) = (text(before), text(PRESENT)));
        assert_eq!(later.expect_err("later").code, "time.in-future");
    }

    #[test]
    fn two_presents_are_none() {
        let both = asked(|t| (t.as_of, t.now) = (text(PRESENT), text(PRESENT)));
        assert_eq!(both.expect_err("both").code, "time.conflict");
        for wrong in ["yesterday", "2025-6-1", "2025-06-01T00:00:00"] {
            assert_eq!(
                asked(|t| t.at_time = text(wrong)).expect_err(wrong).code,
                "time.syntax"
            );
        }
        for (class, read) in [
            ("recorded", TimeClass::Recorded),
            ("attested", TimeClass::Attested),
        ] {
            let moments = asked(|t| t.min_time_evidence = text(class)).expect(class);
            assert_eq!(moments.min_time_evidence, Some(read));
        }
        let claimed = asked(|t| t.min_time_evidence = text("claimed"));
        assert_eq!(claimed.expect_err("never counts").code, "time.class");
    }

    #[test]
    fn a_plain_question_names_no_moment_and_no_class() {
        assert!(asked(|_| {}).expect("plain").are_plain());
        let sets: [fn(&mut Times); 4] = [
            |t| t.as_of = text(PRESENT),
            |t| t.now = text(PRESENT),
            |t| t.at_time = text(PRESENT),
            |t| t.min_time_evidence = text("recorded"),
        ];
        for set in sets {
            assert!(!asked(set).expect("a question").are_plain());
        }
    }
}
