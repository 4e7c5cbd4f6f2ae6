//! Predicate types: the one table of short names, matched exactly.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A predicate type as it stands in statements: a URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PredicateType(String);

/// Short name and URI. cosign's names, then the runbooks'.
pub const TABLE: &[(&str, &str)] = &[
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("evidence.stella/v1", "https://evidence.stella/v1"),
    ("reasoning.stella/v1", "https://reasoning.stella/v1"),
    ("cdx-vex.stella/v1", "https://cdx-vex.stella/v1"),
    ("proofspine.stella/v1", "https://proofspine.stella/v1"),
    ("test", "https://test.stella/v1"),
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is no predicate type: give a URI, or one of {names}", names = names())]
pub struct UnknownPredicate {
    given: String,
}

impl PredicateType {
    /// As it came in a statement.
    pub fn from_wire(uri: &str) -> Self {
        Self(uri.to_owned())
    }

    /// A short name, or a URI.
    pub fn from_name(name: &str) -> Result<Self, UnknownPredicate> {
        if let Some((_, uri)) = TABLE.iter().find(|(short, _)| *short == name) {
            return Ok(Self((*uri).to_owned()));
        }
        let is_uri = name.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        });
        if is_uri && name.len() <= 2048 && name.chars().all(|c| !c.is_whitespace() && !c.is_control()) {
            Ok(Self(name.to_owned()))
        } else {
            Err(UnknownPredicate {
                given: name.chars().take(64).collect(),
            })
        }
    }

    pub fn as_uri(&self) -> &str {
        &self.0
    }

    /// The name people use for it. A statement may carry a short name where a
    /// URI belongs; that is another type, so it is shown in quotes and never
    /// looks like the one it imitates.
    pub fn short(&self) -> Cow<'_, str> {
        if TABLE.iter().any(|(short, _)| *short == self.0) {
            return Cow::Owned(format!("\"{}\"", self.0));
        }
        // Where two names share a URI the last is the more telling one.
        match TABLE.iter().rev().find(|(_, uri)| *uri == self.0) {
            Some((short, _)) => Cow::Borrowed(*short),
            None => Cow::Borrowed(&self.0),
        }
    }

    pub fn is_test(&self) -> bool {
        self.0 == "https://test.stella/v1"
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.short())
    }
}

impl Serialize for PredicateType {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PredicateType {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_name(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

fn names() -> String {
    TABLE
        .iter()
        .map(|(short, _)| *short)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stand_for_uris_and_back() {
        for (short, uri) in TABLE {
            let kind = PredicateType::from_name(short).expect("in the table");
            assert_eq!(kind.as_uri(), *uri);
            assert_eq!(PredicateType::from_name(&kind.short()), Ok(kind));
        }
        assert_eq!(PredicateType::from_wire("test").short(), "\"test\"");
        assert_eq!(
            PredicateType::from_name("https://example.com/x")
                .expect("a URI")
                .short(),
            "https://example.com/x"
        );
        for bad in ["", "cyclonedxx", "evidence.stella/v2", "a b:c", ":x", "x:"] {
            assert!(PredicateType::from_name(bad).is_err(), "{bad}");
        }
    }
}
