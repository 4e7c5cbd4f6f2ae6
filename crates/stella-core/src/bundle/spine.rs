//! The spine of a proof: one statement that lists, in order, what is attested
//! about one subject, under one signature.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bundle::proof::ProofLimits;
use crate::canonical::{self, CanonicalError};
use crate::digest::Sha256;
use crate::json::{self, Bounded, JsonError, Object};
use crate::log::merkle;
use crate::statement::{DigestError, DigestSet, STATEMENT_TYPE, Subject};

pub const PREDICATE_TYPE: &str = "https://proofspine.stella/v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spine {
    pub subject: Subject,
    /// Never empty, none of them twice.
    pub members: Vec<MemberRef>,
    /// As stated; see [`Spine::computed_root`].
    pub root: Sha256,
}

/// A statement by its identity, which no signature over it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRef {
    /// SHA-256 of the pre-authentication encoding.
    pub pae: Sha256,
    /// The wire URI.
    pub predicate_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpineError {
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("its type or predicate type is another one")]
    Type,
    #[error("it must have one subject, it has {0}")]
    Subjects(usize),
    #[error("its subject has no digest that identifies an artifact: {0}")]
    Digest(DigestError),
    #[error("it lists nothing")]
    NoMember,
    #[error("it lists more than {max} members")]
    TooManyMembers { max: usize },
    #[error("it lists {0} twice")]
    Twice(Sha256),
    #[error("it is not in its canonical form (RFC 8785), or holds more than belongs in it")]
    NotCanonical,
}

impl SpineError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::Type => "spine.type",
            Self::Subjects(_) => "spine.subjects",
            Self::Digest(_) => "spine.digest",
            Self::NoMember => "spine.no-member",
            Self::TooManyMembers { .. } => "spine.too-many-members",
            Self::Twice(_) => "spine.twice",
            Self::NotCanonical => "spine.not-canonical",
        }
    }
}

impl Spine {
    /// Of these members in this order, with the root over them.
    pub fn new(subject: Subject, members: Vec<MemberRef>) -> Self {
        let mut spine = Self {
            subject,
            members,
            root: Sha256::of(&[]),
        };
        spine.root = spine.computed_root();
        spine
    }

    /// RFC 6962 over the members' digests, each the data of a leaf.
    pub fn computed_root(&self) -> Sha256 {
        merkle::root(self.members.iter().map(|m| merkle::leaf_hash(m.pae.as_bytes())))
    }

    /// The statement's bytes; the same spine has the same bytes.
    pub fn to_payload(&self) -> Result<Vec<u8>, CanonicalError> {
        let members = self
            .members
            .iter()
            .map(|m| WireMember {
                pae_digest: Digest { sha256: m.pae },
                predicate_type: Cow::Borrowed(&m.predicate_type),
            })
            .collect();
        canonical::of(&Out {
            kind: STATEMENT_TYPE,
            subject: [OutSubject {
                name: self.subject.name.as_deref(),
                digest: self.subject.digest.all(),
            }],
            predicate_type: PREDICATE_TYPE,
            predicate: OutPredicate {
                members,
                merkle_root: Digest { sha256: self.root },
            },
        })
    }

    /// Exactly what [`Spine::to_payload`] writes: a reader who ignored what it
    /// does not know would vouch for it all the same.
    pub fn parse(payload: &[u8], limits: &ProofLimits) -> Result<Self, SpineError> {
        let Object(wire): Object<In<'_>> = json::parse(payload, &limits.json)?;
        if wire.kind != STATEMENT_TYPE || wire.predicate_type != PREDICATE_TYPE {
            return Err(SpineError::Type);
        }
        let [subject] =
            <[InSubject; 1]>::try_from(wire.subject).map_err(|s| SpineError::Subjects(s.len()))?;
        let digest = DigestSet::new(subject.digest).map_err(SpineError::Digest)?;
        if digest.accepted().next().is_none() {
            return Err(SpineError::Digest(DigestError::Empty));
        }
        let max = limits.max_members;
        let members = match json::bounded::<WireMember<'_>>(wire.predicate.members, max)? {
            Bounded::Within(members) if members.is_empty() => return Err(SpineError::NoMember),
            Bounded::Within(members) => members,
            Bounded::Exceeded => return Err(SpineError::TooManyMembers { max }),
        };
        let mut seen = BTreeSet::new();
        if let Some(twice) = members.iter().find(|m| !seen.insert(m.pae_digest.sha256)) {
            return Err(SpineError::Twice(twice.pae_digest.sha256));
        }
        let spine = Self {
            subject: Subject {
                name: subject.name,
                digest,
            },
            members: members
                .into_iter()
                .map(|m| MemberRef {
                    pae: m.pae_digest.sha256,
                    predicate_type: m.predicate_type.into_owned(),
                })
                .collect(),
            root: wire.predicate.merkle_root.sha256,
        };
        if spine.to_payload().as_deref() != Ok(payload) {
            return Err(SpineError::NotCanonical);
        }
        Ok(spine)
    }
}

#[derive(Serialize, Deserialize)]
struct Digest {
    sha256: Sha256,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMember<'a> {
    pae_digest: Digest,
    predicate_type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct In<'a> {
    #[serde(borrow, rename = "_type")]
    kind: Cow<'a, str>,
    subject: Vec<InSubject>,
    #[serde(borrow, rename = "predicateType")]
    predicate_type: Cow<'a, str>,
    #[serde(borrow)]
    predicate: InPredicate<'a>,
}

#[derive(Deserialize)]
struct InSubject {
    #[serde(default)]
    name: Option<String>,
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InPredicate<'a> {
    #[serde(borrow)]
    members: &'a RawValue,
    merkle_root: Digest,
}

#[derive(Serialize)]
struct Out<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [OutSubject<'a>; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: OutPredicate<'a>,
}

#[derive(Serialize)]
struct OutSubject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    digest: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutPredicate<'a> {
    members: Vec<WireMember<'a>>,
    merkle_root: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_is_answered_with_the_code_its_folder_names() {
        crate::vectors::walk_by_code("spine", |payload| {
            let limits = ProofLimits {
                max_members: 4,
                ..ProofLimits::default()
            };
            Spine::parse(payload.trim_ascii_end(), &limits).map_err(|e| e.code())
        });
    }

    #[test]
    fn a_spine_comes_back_with_the_root_over_its_members_in_their_order() {
        let member = |n: u8| MemberRef {
            pae: Sha256::of(&[n]),
            predicate_type: "https://evidence.stella/v1".to_owned(),
        };
        let subject = Subject {
            name: Some("pkg:npm/left-pad@1.3.0".to_owned()),
            digest: DigestSet::sha256(&Sha256::of(b"left-pad")),
        };
        let spine = Spine::new(subject.clone(), (0..3).map(member).collect());
        let payload = spine.to_payload().expect("canonical");
        assert_eq!(Spine::parse(&payload, &ProofLimits::default()), Ok(spine.clone()));
        let reversed = Spine::new(subject, (0..3).rev().map(member).collect());
        assert_ne!(spine.root, reversed.root);
        assert_eq!(spine.root, spine.computed_root());
    }
}
