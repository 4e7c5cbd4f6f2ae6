//! in-toto Statement v1 (the in-toto Attestation Framework, `spec/v1`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::{self, JsonError, JsonLimits, List, Members, Value};

pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Digest algorithms that identify an artifact, with their length in hex
/// digits. md5 and sha1 are read and never believed.
const ACCEPTED: &[(&str, usize)] = &[
    ("sha256", 64),
    ("sha384", 96),
    ("sha512", 128),
    ("sha3_256", 64),
    ("sha3_384", 96),
    ("sha3_512", 128),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    subjects: Vec<Subject>,
    predicate_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub name: Option<String>,
    pub digest: DigestSet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementLimits {
    pub json: JsonLimits,
    pub max_subjects: usize,
}

impl Default for StatementLimits {
    fn default() -> Self {
        Self {
            json: JsonLimits::default(),
            max_subjects: 1024,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("the statement's _type is {0:?}, not {STATEMENT_TYPE}")]
    Type(String),
    #[error("the statement has no subject")]
    NoSubject,
    #[error("the statement has more than {max} subjects")]
    TooManySubjects { max: usize },
    #[error("subject {index} has no digest that can be read: {why}")]
    Digest { index: usize, why: DigestError },
    #[error("the statement has no predicateType")]
    PredicateType,
}

impl StatementError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::Type(_) => "statement.type",
            Self::NoSubject => "statement.no-subject",
            Self::TooManySubjects { .. } => "statement.too-many-subjects",
            Self::Digest { .. } => "statement.digest",
            Self::PredicateType => "statement.predicate-type",
        }
    }
}

impl Statement {
    /// Unknown fields are ignored, as in-toto demands; the predicate is
    /// checked to be JSON and not read.
    pub fn parse(payload: &[u8], limits: &StatementLimits) -> Result<Self, StatementError> {
        let max = limits.max_subjects;
        let mut wire = Wire {
            kind: Cow::default(),
            subjects: List::up_to(max),
            predicate_type: Cow::default(),
        };
        match json::members(payload, &limits.json, &mut wire) {
            Err(JsonError::Shape { .. }) if wire.subjects.exceeded => {
                return Err(StatementError::TooManySubjects { max });
            }
            read => read?,
        };
        if wire.kind != STATEMENT_TYPE {
            return Err(StatementError::Type(wire.kind.chars().take(100).collect()));
        }
        if wire.predicate_type.is_empty() {
            return Err(StatementError::PredicateType);
        }
        if wire.subjects.items.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let subjects = wire.subjects.items.into_iter().enumerate();
        let subjects = subjects
            .map(|(index, s)| {
                let digest = DigestSet::new(s.digest).map_err(|why| StatementError::Digest { index, why })?;
                Ok(Subject {
                    name: s.name.filter(|n| !n.is_empty()).map(Cow::into_owned),
                    digest,
                })
            })
            .collect::<Result<_, StatementError>>()?;
        Ok(Self {
            subjects,
            predicate_type: wire.predicate_type.into_owned(),
        })
    }

    /// A statement's bytes with the predicate's own bytes inside, unchanged.
    pub fn build(
        subjects: &[Subject],
        predicate_type: &str,
        predicate: &str,
        limits: &StatementLimits,
    ) -> Result<Vec<u8>, StatementError> {
        json::check(predicate.as_bytes(), &limits.json)?;
        let shape = |e: serde_json::Error| JsonError::Shape {
            message: e.to_string(),
        };
        let predicate: &RawValue = serde_json::from_str(predicate.trim()).map_err(shape)?;
        let out = Out {
            kind: STATEMENT_TYPE,
            subject: subjects
                .iter()
                .map(|s| OutSubject {
                    name: s.name.as_deref(),
                    digest: &s.digest.0,
                })
                .collect(),
            predicate_type,
            predicate,
        };
        let bytes = serde_json::to_vec(&out).map_err(shape)?;
        Self::parse(&bytes, limits)?;
        Ok(bytes)
    }

    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The wire URI.
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }
}

/// Digests of one artifact, by algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestSet(BTreeMap<String, String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("it is empty")]
    Empty,
    #[error("{0} is not hex of the right length")]
    Value(String),
    #[error("write it as sha256:HEX")]
    Syntax,
}

impl DigestSet {
    pub fn new(digests: BTreeMap<String, String>) -> Result<Self, DigestError> {
        if digests.is_empty() {
            return Err(DigestError::Empty);
        }
        let mut out = BTreeMap::new();
        for (algorithm, value) in digests {
            let length = ACCEPTED
                .iter()
                .find(|(name, _)| *name == algorithm)
                .map(|(_, length)| *length);
            match length {
                Some(length) if value.len() != length || !value.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    return Err(DigestError::Value(algorithm.chars().take(32).collect()));
                }
                Some(_) => out.insert(algorithm, value.to_ascii_lowercase()),
                // Others (gitCommit, dirHash, ...) are kept as they are.
                None => out.insert(algorithm, value),
            };
        }
        Ok(Self(out))
    }

    pub fn sha256(digest: &crate::digest::Sha256) -> Self {
        Self(BTreeMap::from([("sha256".to_owned(), digest.to_hex())]))
    }

    /// `sha256:HEX`.
    pub fn parse_spec(text: &str) -> Result<Self, DigestError> {
        let (algorithm, value) = text.split_once(':').ok_or(DigestError::Syntax)?;
        Self::new(BTreeMap::from([(
            algorithm.to_ascii_lowercase(),
            value.to_owned(),
        )]))
    }

    /// The digests that identify an artifact.
    pub fn accepted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(|(a, _)| ACCEPTED.iter().any(|(name, _)| name == a))
            .map(|(a, v)| (a.as_str(), v.as_str()))
    }

    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Share an accepted algorithm, and agree on every one they share.
    pub fn matches(&self, other: &Self) -> bool {
        let mut shared = 0;
        for (algorithm, value) in self.accepted() {
            match other.0.get(algorithm) {
                Some(theirs) if theirs == value => shared += 1,
                Some(_) => return false,
                None => {}
            }
        }
        shared > 0
    }
}

impl fmt::Display for DigestSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<_> = self.0.iter().map(|(a, v)| format!("{a}:{v}")).collect();
        f.write_str(&text.join(","))
    }
}

#[derive(Clone)]
struct Wire<'a> {
    kind: Cow<'a, str>,
    subjects: List<WireSubject<'a>>,
    predicate_type: Cow<'a, str>,
}

impl<'de> Members<'de> for Wire<'de> {
    const NAMES: &'static [&'static str] = &["_type", "subject", "predicateType", "predicate"];

    fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error> {
        match name {
            "_type" => self.kind = value.text()?,
            "subject" => value.list(&mut self.subjects)?,
            "predicateType" => self.predicate_type = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct WireSubject<'a> {
    name: Option<Cow<'a, str>>,
    digest: BTreeMap<String, String>,
}

impl<'de> Members<'de> for WireSubject<'de> {
    const NAMES: &'static [&'static str] = &["name", "digest"];

    fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error> {
        match name {
            "name" => self.name = value.text_or_null()?,
            _ => self.digest = value.texts()?,
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Out<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<OutSubject<'a>>,
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    predicate: &'a RawValue,
}

#[derive(Serialize)]
struct OutSubject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    digest: &'a BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn code(text: &str) -> &'static str {
        Statement::parse(text.as_bytes(), &StatementLimits::default()).map_or_else(|e| e.code(), |_| "ok")
    }

    fn with_subjects(subjects: &str) -> String {
        format!(
            r#"{{"_type":"{STATEMENT_TYPE}","subject":[{subjects}],"predicateType":"https://x/y","predicate":{{}},"extra":1}}"#
        )
    }

    #[test]
    fn reads_what_in_toto_says_and_nothing_else() {
        assert_eq!(
            code(&with_subjects(&format!(
                r#"{{"name":"a","digest":{{"sha256":"{HEX}"}}}}"#
            ))),
            "ok"
        );
        assert_eq!(code(&with_subjects("")), "statement.no-subject");
        assert_eq!(code(&with_subjects(r#"{"name":"a"}"#)), "statement.digest");
        assert_eq!(
            code(&with_subjects(r#"{"digest":{"sha256":"abc"}}"#)),
            "statement.digest"
        );
        assert_eq!(
            code(r#"{"_type":"https://in-toto.io/Statement/v0.1","subject":[]}"#),
            "statement.type"
        );
        assert_eq!(code(r#"{"_type":"x","_type":"y"}"#), "json.duplicate-key");
    }

    #[test]
    fn every_vector_is_answered_with_the_code_its_folder_names() {
        crate::vectors::walk_by_code("statement", |bytes| {
            Statement::parse(bytes, &StatementLimits::default()).map_err(|e| e.code())
        });
    }

    #[test]
    fn a_million_subjects_are_refused() {
        let million = vec!["{}"; 1_000_000].join(",");
        assert_eq!(code(&with_subjects(&million)), "statement.too-many-subjects");
    }

    #[test]
    fn the_predicate_keeps_its_own_bytes() {
        let subject = Subject {
            name: None,
            digest: DigestSet::parse_spec(&format!("sha256:{HEX}")).expect("digest"),
        };
        let predicate = "{ \"b\" : 1.50,\n \"a\":[ ] }";
        let bytes = Statement::build(&[subject], "https://x/y", predicate, &StatementLimits::default())
            .expect("built");
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(&bytes).expect("an object");
        assert_eq!(members["predicate"].get(), predicate);
    }

    #[test]
    fn digests_match_only_where_strong_ones_agree() {
        let set = |list: &[(&str, &str)]| {
            DigestSet::new(
                list.iter()
                    .map(|(a, v)| ((*a).to_owned(), (*v).to_owned()))
                    .collect(),
            )
            .expect("digests")
        };
        let other = "f".repeat(64);
        let (long_a, long_b) = ("a".repeat(128), "b".repeat(128));
        assert!(set(&[("sha256", HEX)]).matches(&set(&[("sha256", &HEX.to_uppercase())])));
        assert!(!set(&[("sha256", HEX)]).matches(&set(&[("sha256", &other)])));
        assert!(!set(&[("sha1", "aa"), ("md5", "bb")]).matches(&set(&[("sha1", "aa"), ("md5", "bb")])));
        assert!(
            !set(&[("sha256", HEX), ("sha512", &long_a)])
                .matches(&set(&[("sha256", HEX), ("sha512", &long_b)]))
        );
    }
}
