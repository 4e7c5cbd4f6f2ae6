//! Sigstore bundles v0.3 around a DSSE envelope (sigstore protobuf-specs,
//! `sigstore_bundle.proto`), as far as a key and not a certificate vouches.

pub mod proof;
pub mod spine;
pub mod trust;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::dsse::{Envelope, EnvelopeError, EnvelopeLimits, WireIn};
use crate::json::{self, JsonError, Members, Value};

pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub envelope: Envelope,
    /// It came inside a bundle.
    pub bundled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("the document cannot be read: {0}")]
    Json(#[from] JsonError),
    #[error("the bundle's media type is {0:?}, not that of a Sigstore bundle v0.3")]
    MediaType(String),
    #[error("the bundle holds no DSSE envelope")]
    NoEnvelope,
    #[error("a Sigstore bundle holds exactly one signature, this one {0}")]
    Signatures(usize),
    #[error("{0}")]
    Envelope(EnvelopeError),
    #[error("line {line}: {why}")]
    Line { line: usize, why: Box<BundleError> },
    #[error("line {line} holds another statement than the first: verify each by itself")]
    Mixed { line: usize },
}

impl BundleError {
    fn of(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Json(e) => Self::Json(e),
            other => Self::Envelope(other),
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::MediaType(_) => "bundle.media-type",
            Self::NoEnvelope => "bundle.no-envelope",
            Self::Signatures(_) => "bundle.signatures",
            Self::Envelope(e) => e.code(),
            Self::Line { why, .. } => why.code(),
            Self::Mixed { .. } => "bundle.mixed",
        }
    }
}

impl Document {
    /// A DSSE envelope or a Sigstore bundle. Fields of a bundle that are not
    /// known here are ignored; nothing rests on them.
    pub fn parse(bytes: &[u8], limits: &EnvelopeLimits) -> Result<Self, BundleError> {
        let mut wire = Wire::of(limits, true);
        let read = json::members(bytes, &limits.json, &mut wire).map(|_| ());
        let found = wire.envelope.take();
        if let Some(Found::Read(envelope)) = found {
            let envelope = envelope.finish(read).map_err(BundleError::of)?;
            return Self::bundled(envelope);
        }
        read?;
        match (wire.in_bundle()?, found) {
            (false, _) => Ok(Self {
                envelope: Envelope::parse(bytes, limits).map_err(BundleError::of)?,
                bundled: false,
            }),
            (true, Some(Found::Bytes(bytes))) => {
                Self::bundled(Envelope::parse(bytes.as_bytes(), limits).map_err(BundleError::of)?)
            }
            (true, _) => Err(BundleError::NoEnvelope),
        }
    }

    /// One document; or one on each line, as several profiles sign one
    /// statement: then all their signatures, as if one envelope held them.
    pub fn parse_lines(bytes: &[u8], limits: &EnvelopeLimits) -> Result<Self, BundleError> {
        let refused = match Self::parse(bytes, limits) {
            Err(BundleError::Json(e @ JsonError::Syntax { .. })) => BundleError::Json(e),
            other => return other,
        };
        let mut lines = (1..)
            .zip(bytes.split(|b| *b == b'\n'))
            .filter(|(_, line)| !line.trim_ascii().is_empty());
        // A text that is broken in two is no list of documents.
        let Some(Ok(mut all)) = lines.next().map(|(_, first)| Self::parse(first, limits)) else {
            return Err(refused);
        };
        for (line, bytes) in lines {
            let why = |e| BundleError::Line {
                line,
                why: Box::new(e),
            };
            let one = Self::parse(bytes, limits).map_err(why)?;
            if (&one.envelope.payload_type, &one.envelope.payload)
                != (&all.envelope.payload_type, &all.envelope.payload)
            {
                return Err(BundleError::Mixed { line });
            }
            for signature in one.envelope.signatures {
                if !all.envelope.signatures.contains(&signature) {
                    all.envelope.signatures.push(signature);
                }
            }
            if all.envelope.signatures.len() > limits.max_signatures {
                let max = limits.max_signatures;
                return Err(why(BundleError::Envelope(EnvelopeError::TooManySignatures {
                    max,
                })));
            }
            all.bundled &= one.bundled;
        }
        Ok(all)
    }

    fn bundled(envelope: Envelope) -> Result<Self, BundleError> {
        match envelope.signatures.len() {
            1 => Ok(Self {
                envelope,
                bundled: true,
            }),
            n => Err(BundleError::Signatures(n)),
        }
    }
}

/// The envelope's own bytes in a document that [`Document::parse`] read.
pub fn envelope_bytes<'a>(document: &'a [u8], limits: &EnvelopeLimits) -> Result<&'a [u8], BundleError> {
    let mut wire = Wire::of(limits, false);
    json::members(document, &limits.json, &mut wire)?;
    match (wire.in_bundle()?, wire.envelope) {
        (false, _) => Ok(document),
        (true, Some(Found::Bytes(bytes))) => Ok(bytes.as_bytes()),
        (true, _) => Err(BundleError::NoEnvelope),
    }
}

/// The bundle of an envelope with one signature: its bytes stand inside
/// unchanged, and the hint is the signature's key id.
pub fn build(envelope_bytes: &[u8], limits: &EnvelopeLimits) -> Result<Vec<u8>, BundleError> {
    let read = Envelope::parse(envelope_bytes, limits).map_err(BundleError::of)?;
    let [signature] = read.signatures.as_slice() else {
        return Err(BundleError::Signatures(read.signatures.len()));
    };
    let shape = |e: serde_json::Error| {
        let message = e.to_string();
        BundleError::Json(JsonError::Shape { message })
    };
    let envelope: &RawValue = serde_json::from_slice(envelope_bytes).map_err(shape)?;
    let out = Out {
        media_type: MEDIA_TYPE,
        verification_material: Material {
            public_key: Hint {
                hint: signature.keyid.as_deref().unwrap_or_default(),
            },
        },
        dsse_envelope: envelope,
    };
    serde_json::to_vec(&out).map_err(shape)
}

/// Both spellings of the version that are in use.
fn is_v0_3(media_type: &str) -> bool {
    media_type == MEDIA_TYPE || media_type == "application/vnd.dev.sigstore.bundle+json;version=0.3"
}

#[derive(Clone)]
struct Wire<'a> {
    media_type: Option<Cow<'a, str>>,
    envelope: Option<Found<'a>>,
    limits: EnvelopeLimits,
    /// Whether an envelope may be read where it stands.
    at_once: bool,
}

#[derive(Clone)]
enum Found<'a> {
    Read(WireIn<'a>),
    /// Not checked yet.
    Bytes(&'a str),
}

impl<'a> Wire<'a> {
    fn of(limits: &EnvelopeLimits, at_once: bool) -> Self {
        Self {
            media_type: None,
            envelope: None,
            limits: *limits,
            at_once,
        }
    }

    fn in_bundle(&self) -> Result<bool, BundleError> {
        match &self.media_type {
            None => Ok(false),
            Some(v0_3) if is_v0_3(v0_3) => Ok(true),
            Some(other) => Err(BundleError::MediaType(other.chars().take(100).collect())),
        }
    }
}

impl<'de> Members<'de> for Wire<'de> {
    const NAMES: &'static [&'static str] = &["mediaType", "dsseEnvelope"];

    fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error> {
        if name == "mediaType" {
            self.media_type = value.text_or_null()?;
            return Ok(());
        }
        // The usual order says what this is before it comes. Without a media
        // type the name means nothing, and any value may stand under it.
        if self.at_once && self.media_type.as_deref().is_some_and(is_v0_3) {
            let mut envelope = WireIn::new(&self.limits);
            let read = value.object(&mut envelope);
            self.envelope = Some(Found::Read(envelope));
            return read;
        }
        self.envelope = Some(Found::Bytes(value.unchecked()?));
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Out<'a> {
    media_type: &'static str,
    verification_material: Material<'a>,
    dsse_envelope: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material<'a> {
    public_key: Hint<'a>,
}

#[derive(Serialize)]
struct Hint<'a> {
    hint: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsse::EnvelopeSignature;

    fn envelope(signatures: usize) -> Vec<u8> {
        let signature = EnvelopeSignature {
            keyid: Some("key-2025".to_owned()),
            sig: vec![1, 2, 3],
        };
        Envelope {
            payload_type: crate::dsse::IN_TOTO_PAYLOAD_TYPE.to_owned(),
            payload: b"{}".to_vec(),
            signatures: vec![signature; signatures],
        }
        .to_json()
    }

    fn code(text: &str) -> &'static str {
        Document::parse(text.as_bytes(), &EnvelopeLimits::default()).map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn a_bundle_gives_back_the_envelopes_own_bytes() {
        let limits = EnvelopeLimits::default();
        let spaced = String::from_utf8(envelope(1)).expect("text").replace(':', " : ");
        let bundle = build(spaced.as_bytes(), &limits).expect("bundle");
        let json: serde_json::Value = serde_json::from_slice(&bundle).expect("JSON");
        assert_eq!(json["mediaType"], MEDIA_TYPE);
        assert_eq!(json["verificationMaterial"]["publicKey"]["hint"], "key-2025");
        let read = Document::parse(&bundle, &limits).expect("reads");
        assert!(read.bundled);
        assert_eq!(envelope_bytes(&bundle, &limits), Ok(spaced.as_bytes()));
        assert_eq!(envelope_bytes(spaced.as_bytes(), &limits), Ok(spaced.as_bytes()));
        let bare = Document::parse(spaced.as_bytes(), &limits).expect("reads");
        assert!(!bare.bundled);
        assert_eq!(bare.envelope, read.envelope);
    }

    #[test]
    fn bundles_on_lines_are_one_statement_with_all_its_signatures() {
        let limits = EnvelopeLimits {
            max_signatures: 2,
            ..EnvelopeLimits::default()
        };
        let signed = |sig: u8, payload: &[u8]| {
            let envelope = Envelope {
                payload_type: "t".to_owned(),
                payload: payload.to_vec(),
                signatures: vec![EnvelopeSignature {
                    keyid: None,
                    sig: vec![sig],
                }],
            };
            let bundle = build(&envelope.to_json(), &limits).expect("a bundle");
            String::from_utf8(bundle).expect("text")
        };
        let read = |lines: &[String]| Document::parse_lines(lines.join("\r\n").as_bytes(), &limits);
        let [one, two, three] = [1, 2, 3].map(|sig| signed(sig, b"{}"));
        let sigs = |document: Document| -> Vec<u8> {
            let signatures = document.envelope.signatures.into_iter();
            signatures.flat_map(|s| s.sig).collect()
        };
        assert_eq!(read(std::slice::from_ref(&one)).map(sigs), Ok(vec![1]));
        let blank = String::new();
        let both = [one.clone(), blank, two.clone(), one.clone()];
        assert_eq!(read(&both).map(sigs), Ok(vec![1, 2]), "each signature once");
        let too_many = read(&[one.clone(), two.clone(), three]);
        assert_eq!(
            too_many.map_err(|e| e.code()),
            Err("envelope.too-many-signatures")
        );
        assert_eq!(
            read(&[one.clone(), signed(2, b"{ }")]),
            Err(BundleError::Mixed { line: 2 })
        );
        let broken = read(&[one.clone(), two.replace('}', "")]);
        assert!(
            matches!(broken, Err(BundleError::Line { line: 2, .. })),
            "{broken:?}"
        );
        // One text, laid out on lines and broken: told as one text.
        let laid_out = one.replace(',', ",\n");
        assert_eq!(
            Document::parse_lines(laid_out.as_bytes(), &limits).map(sigs),
            Ok(vec![1])
        );
        let cut = laid_out.get(..laid_out.len() - 1).expect("text");
        let cut = Document::parse_lines(cut.as_bytes(), &limits);
        assert!(
            matches!(cut, Err(BundleError::Json(JsonError::Syntax { .. }))),
            "{cut:?}"
        );
    }

    #[test]
    fn what_is_no_bundle_is_told_apart() {
        let limits = EnvelopeLimits::default();
        assert_eq!(
            build(&envelope(2), &limits).map_err(|e| e.code()),
            Err("bundle.signatures")
        );
        let two = format!(
            r#"{{"mediaType":"{MEDIA_TYPE}","dsseEnvelope":{}}}"#,
            String::from_utf8(envelope(2)).expect("text")
        );
        assert_eq!(code(&two), "bundle.signatures");
        assert_eq!(
            code(&format!(r#"{{"mediaType":"{MEDIA_TYPE}"}}"#)),
            "bundle.no-envelope"
        );
        assert_eq!(
            code(r#"{"mediaType":"x/y","dsseEnvelope":{}}"#),
            "bundle.media-type"
        );
        assert_eq!(code(r#"{"a":1,"a":2}"#), "json.duplicate-key");
        assert_eq!(code("[]"), "json.shape");
        let fields = format!(
            r#"["{MEDIA_TYPE}",{}]"#,
            String::from_utf8(envelope(1)).expect("text")
        );
        assert_eq!(code(&fields), "json.shape", "an array of the fields");
        assert_eq!(code("{}"), "json.shape");
    }
}
