//! A proof bundle: a signed spine and the signed statements that it lists, in
//! one document that is addressed by the SHA-256 of its bytes.
//!
//! The bytes are canonical (RFC 8785) and hold nothing else, so a document is
//! the one writing of what it says, and its address commits to all of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bundle::{self, BundleError, Document};
use crate::canonical;
use crate::digest::Sha256;
use crate::dsse::{self, Envelope, EnvelopeLimits, EnvelopeSignature};
use crate::json::{self, Bounded, JsonError, JsonLimits, Object};

pub const MEDIA_TYPE: &str = "application/vnd.stella.proof-bundle.v1+json";

/// Settings under `limits.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofLimits {
    pub json: JsonLimits,
    pub max_members: usize,
    /// Over one statement.
    pub max_signatures: usize,
}

impl Default for ProofLimits {
    fn default() -> Self {
        Self {
            json: JsonLimits::default(),
            max_members: 64,
            max_signatures: 16,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofBundle {
    spine: SignedPayload,
    members: Vec<SignedPayload>,
    bytes: Vec<u8>,
}

/// One payload with the signatures over it: never none, none twice, ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPayload {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("its media type is not {MEDIA_TYPE}")]
    MediaType,
    #[error("it has no member")]
    NoMember,
    #[error("it has more than {max} members")]
    TooManyMembers { max: usize },
    #[error("a statement in it has no signature")]
    NoSignature,
    #[error("a statement in it has more than {max} signatures")]
    TooManySignatures { max: usize },
    #[error("signatures over different payloads stand together as one statement's")]
    Mixed,
    #[error("a Sigstore bundle in it cannot be read: {0}")]
    Bundle(BundleError),
    #[error("it is not in its canonical form, or holds more than belongs in it")]
    NotCanonical,
}

impl ProofError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::MediaType => "proof.media-type",
            Self::NoMember => "proof.no-member",
            Self::TooManyMembers { .. } => "proof.too-many-members",
            Self::NoSignature => "proof.no-signature",
            Self::TooManySignatures { .. } => "proof.too-many-signatures",
            Self::Mixed => "proof.mixed",
            Self::Bundle(e) => e.code(),
            Self::NotCanonical => "proof.not-canonical",
        }
    }
}

impl SignedPayload {
    /// Of envelopes around one and the same payload.
    pub fn of(envelopes: impl IntoIterator<Item = Envelope>) -> Result<Self, ProofError> {
        let mut envelopes = envelopes.into_iter();
        let mut all = envelopes.next().ok_or(ProofError::NoSignature)?;
        for envelope in envelopes {
            if (&envelope.payload_type, &envelope.payload) != (&all.payload_type, &all.payload) {
                return Err(ProofError::Mixed);
            }
            all.signatures.extend(envelope.signatures);
        }
        if all.signatures.is_empty() {
            return Err(ProofError::NoSignature);
        }
        all.signatures
            .sort_by(|a, b| (&a.keyid, &a.sig).cmp(&(&b.keyid, &b.sig)));
        all.signatures.dedup();
        Ok(Self {
            payload_type: all.payload_type,
            payload: all.payload,
            signatures: all.signatures,
        })
    }

    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    pub fn pae_digest(&self) -> Sha256 {
        dsse::pae_digest(&self.payload_type, &self.payload)
    }

    fn parse(array: &RawValue, limits: &ProofLimits) -> Result<Self, ProofError> {
        let max = limits.max_signatures;
        let envelope = EnvelopeLimits {
            json: limits.json,
            max_signatures: 1,
        };
        let bundles: Vec<&RawValue> = match json::bounded(array, max)? {
            Bounded::Within(bundles) => bundles,
            Bounded::Exceeded => return Err(ProofError::TooManySignatures { max }),
        };
        let documents = bundles
            .into_iter()
            .map(|raw| Document::parse(raw.get().as_bytes(), &envelope).map_err(ProofError::Bundle))
            .collect::<Result<Vec<_>, _>>()?;
        Self::of(documents.into_iter().map(|d| d.envelope))
    }

    /// One Sigstore bundle for each signature.
    fn bundles(&self) -> Result<Vec<Box<RawValue>>, ProofError> {
        self.signatures
            .iter()
            .map(|signature| {
                let envelope = Envelope {
                    payload_type: self.payload_type.clone(),
                    payload: self.payload.clone(),
                    signatures: vec![signature.clone()],
                };
                // Bounded already, where it came from.
                let unbounded = EnvelopeLimits {
                    json: JsonLimits {
                        max_bytes: usize::MAX,
                        ..JsonLimits::default()
                    },
                    max_signatures: 1,
                };
                let bytes = bundle::build(&envelope.to_json(), &unbounded).map_err(ProofError::Bundle)?;
                serde_json::from_slice(&bytes).map_err(|e| shape(&e))
            })
            .collect()
    }
}

impl ProofBundle {
    /// Within the limits by which it will be read.
    pub fn new(
        spine: SignedPayload,
        members: Vec<SignedPayload>,
        limits: &ProofLimits,
    ) -> Result<Self, ProofError> {
        if members.is_empty() {
            return Err(ProofError::NoMember);
        }
        let max = limits.max_members;
        if members.len() > max {
            return Err(ProofError::TooManyMembers { max });
        }
        let max = limits.max_signatures;
        if std::iter::once(&spine)
            .chain(&members)
            .any(|s| s.signatures.len() > max)
        {
            return Err(ProofError::TooManySignatures { max });
        }
        let wire = Out {
            media_type: MEDIA_TYPE,
            spine: spine.bundles()?,
            members: members
                .iter()
                .map(SignedPayload::bundles)
                .collect::<Result<_, _>>()?,
        };
        let bytes = canonical::of(&wire).map_err(|_| ProofError::NotCanonical)?;
        json::check(&bytes, &limits.json)?;
        Ok(Self {
            spine,
            members,
            bytes,
        })
    }

    /// Exactly what [`ProofBundle::new`] writes, to the byte.
    pub fn parse(bytes: &[u8], limits: &ProofLimits) -> Result<Self, ProofError> {
        let Object(wire): Object<In<'_>> = json::parse(bytes, &limits.json)?;
        if wire.media_type != MEDIA_TYPE {
            return Err(ProofError::MediaType);
        }
        let max = limits.max_members;
        let arrays: Vec<&RawValue> = match json::bounded(wire.members, max)? {
            Bounded::Within(arrays) => arrays,
            Bounded::Exceeded => return Err(ProofError::TooManyMembers { max }),
        };
        let members = arrays
            .into_iter()
            .map(|array| SignedPayload::parse(array, limits))
            .collect::<Result<_, _>>()?;
        let parsed = Self::new(SignedPayload::parse(wire.spine, limits)?, members, limits)?;
        if parsed.bytes == bytes {
            Ok(parsed)
        } else {
            Err(ProofError::NotCanonical)
        }
    }

    /// SHA-256 of the document's bytes, written `sha256:HEX`.
    pub fn address(&self) -> Sha256 {
        Sha256::of(&self.bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn spine(&self) -> &SignedPayload {
        &self.spine
    }

    pub fn members(&self) -> &[SignedPayload] {
        &self.members
    }

    /// The spine first, then the members in their order.
    pub fn statements(&self) -> impl Iterator<Item = &SignedPayload> {
        std::iter::once(&self.spine).chain(&self.members)
    }
}

fn shape(e: &serde_json::Error) -> ProofError {
    let message = e.to_string().chars().take(200).collect();
    ProofError::Json(JsonError::Shape { message })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct In<'a> {
    media_type: String,
    #[serde(borrow)]
    spine: &'a RawValue,
    #[serde(borrow)]
    members: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Out {
    media_type: &'static str,
    spine: Vec<Box<RawValue>>,
    members: Vec<Vec<Box<RawValue>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str, signatures: &[(&str, u8)]) -> SignedPayload {
        let envelopes = signatures.iter().map(|(keyid, n)| Envelope {
            payload_type: dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: text.as_bytes().to_vec(),
            signatures: vec![EnvelopeSignature {
                keyid: Some((*keyid).to_owned()).filter(|k| !k.is_empty()),
                sig: vec![*n; 3],
            }],
        });
        SignedPayload::of(envelopes).expect("signed")
    }

    fn small() -> ProofBundle {
        let members = vec![payload("one", &[("k", 1)]), payload("two", &[("k", 2), ("", 3)])];
        ProofBundle::new(payload("spine", &[("k", 4)]), members, &ProofLimits::default()).expect("a bundle")
    }

    #[test]
    fn what_is_written_is_read_and_its_digest_is_its_address() {
        let proof = small();
        let read = ProofBundle::parse(proof.bytes(), &ProofLimits::default()).expect("reads");
        assert_eq!(read, proof);
        assert_eq!(read.address(), Sha256::of(proof.bytes()));
        let value: serde_json::Value = serde_json::from_slice(proof.bytes()).expect("JSON");
        assert_eq!(
            canonical::to_canonical(&value).as_deref(),
            Ok(proof.bytes()),
            "RFC 8785"
        );
        let inner = value["members"][1][1].to_string();
        let inner = Document::parse(inner.as_bytes(), &EnvelopeLimits::default()).expect("a Sigstore bundle");
        assert!(inner.bundled && inner.envelope.payload == b"two");
    }

    /// The order in which signatures were given does not make another document.
    #[test]
    fn the_same_content_has_the_same_address() {
        let spine = || payload("spine", &[("k", 4)]);
        let one = ProofBundle::new(
            spine(),
            vec![payload("x", &[("a", 1), ("b", 2)])],
            &ProofLimits::default(),
        );
        let other = ProofBundle::new(
            spine(),
            vec![payload("x", &[("b", 2), ("a", 1), ("b", 2)])],
            &ProofLimits::default(),
        );
        assert_eq!(one, other);
    }

    #[test]
    fn no_flipped_bit_is_the_same_document() {
        let proof = small();
        for bit in 0..proof.bytes().len() * 8 {
            let mut flipped = proof.bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = ProofBundle::parse(&flipped, &ProofLimits::default()) {
                assert_ne!(read.address(), proof.address(), "bit {bit}");
                let same = read.statements().eq(proof.statements());
                assert!(!same, "bit {bit} changed nothing that is judged");
            }
        }
    }

    #[test]
    fn every_vector_is_answered_with_the_code_its_folder_names() {
        crate::vectors::walk_by_code("proof", |bytes| {
            let limits = ProofLimits {
                max_members: 4,
                max_signatures: 2,
                ..ProofLimits::default()
            };
            ProofBundle::parse(bytes.trim_ascii_end(), &limits).map_err(|e| e.code())
        });
    }

    #[test]
    fn bounds_hold_when_it_is_made_too() {
        let limits = ProofLimits {
            max_members: 1,
            max_signatures: 1,
            ..ProofLimits::default()
        };
        let one = || payload("x", &[("a", 1)]);
        let new = |spine, members| ProofBundle::new(spine, members, &limits).map_err(|e| e.code());
        assert_eq!(new(one(), vec![]), Err("proof.no-member"));
        assert_eq!(new(one(), vec![one(), one()]), Err("proof.too-many-members"));
        let two = payload("x", &[("a", 1), ("b", 2)]);
        assert_eq!(new(one(), vec![two]), Err("proof.too-many-signatures"));
        let small = ProofLimits {
            json: JsonLimits {
                max_bytes: 100,
                ..JsonLimits::default()
            },
            ..ProofLimits::default()
        };
        let large = ProofBundle::new(one(), vec![one()], &small).map_err(|e| e.code());
        assert_eq!(large, Err("json.too-large"));
        let mixed = SignedPayload::of([
            Envelope {
                payload_type: "a".to_owned(),
                payload: vec![],
                signatures: vec![],
            },
            Envelope {
                payload_type: "b".to_owned(),
                payload: vec![],
                signatures: vec![],
            },
        ]);
        assert_eq!(mixed, Err(ProofError::Mixed));
    }
}
