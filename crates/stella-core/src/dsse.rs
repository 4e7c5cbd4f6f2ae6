//! DSSE envelopes and the bytes their signatures cover (the DSSE
//! specification v1, `protocol.md` and `envelope.md`).

use std::borrow::Cow;

use serde::Serialize;

use crate::digest::Sha256;
use crate::json::{self, JsonError, JsonLimits, List, Members, Value};

pub const IN_TOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub payload_type: String,
    pub payload: Vec<u8>,
    pub signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// A hint. It is not signed, so nothing may rest on it.
    pub keyid: Option<String>,
    pub sig: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeLimits {
    pub json: JsonLimits,
    pub max_signatures: usize,
}

impl Default for EnvelopeLimits {
    fn default() -> Self {
        Self {
            json: JsonLimits::default(),
            max_signatures: 16,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the envelope cannot be read")]
    Json(#[from] JsonError),
    #[error("the envelope's {field} is not base64")]
    Base64 { field: &'static str },
    #[error("the envelope has no signature")]
    NoSignature,
    #[error("the envelope has more than {max} signatures")]
    TooManySignatures { max: usize },
}

impl EnvelopeError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::Base64 { .. } => "envelope.base64",
            Self::NoSignature => "envelope.no-signature",
            Self::TooManySignatures { .. } => "envelope.too-many-signatures",
        }
    }
}

/// The pre-authentication encoding: what is signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + payload_type.len() + 48);
    for part in pae_parts(payload_type, payload, &head(payload_type, payload)) {
        out.extend_from_slice(part);
    }
    out
}

/// SHA-256 of the pre-authentication encoding: the identity of what is signed.
pub fn pae_digest(payload_type: &str, payload: &[u8]) -> Sha256 {
    Sha256::of_parts(&pae_parts(payload_type, payload, &head(payload_type, payload)))
}

impl Envelope {
    pub fn parse(bytes: &[u8], limits: &EnvelopeLimits) -> Result<Self, EnvelopeError> {
        let mut wire = WireIn::new(limits);
        let read = json::members(bytes, &limits.json, &mut wire).map(|_| ());
        wire.finish(read)
    }

    pub fn to_json(&self) -> Vec<u8> {
        let encode = |bytes: &[u8]| base64_simd::STANDARD.encode_to_string(bytes);
        let wire = WireOut {
            payload: encode(&self.payload),
            payload_type: &self.payload_type,
            signatures: self
                .signatures
                .iter()
                .map(|s| WireSignature {
                    keyid: s.keyid.clone(),
                    sig: encode(&s.sig),
                })
                .collect(),
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    pub fn pae_digest(&self) -> Sha256 {
        pae_digest(&self.payload_type, &self.payload)
    }
}

/// Either alphabet (RFC 4648 sections 4 and 5), padded or not, but one text
/// for one value otherwise: no mixed alphabets, no stray trailing bits, the
/// padding whole or absent.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = match text.strip_suffix('=') {
        Some(_) if !text.len().is_multiple_of(4) => return None,
        Some(rest) => rest.strip_suffix('=').unwrap_or(rest),
        None => text,
    };
    // Envelopes are mostly base64, and a scalar decoder takes a third of all
    // that a verdict costs beside the signature check.
    let read = |alphabet: &base64_simd::Base64| alphabet.decode_to_vec(digits).ok();
    read(&base64_simd::STANDARD_NO_PAD).or_else(|| read(&base64_simd::URL_SAFE_NO_PAD))
}

/// An envelope as it stands in its document, alone or inside another.
#[derive(Clone)]
pub(crate) struct WireIn<'a> {
    payload: Option<Cow<'a, str>>,
    payload_type: Option<Cow<'a, str>>,
    signatures: List<WireSignatureIn<'a>>,
    max_signatures: usize,
    listed: bool,
}

impl WireIn<'_> {
    pub fn new(limits: &EnvelopeLimits) -> Self {
        Self {
            payload: None,
            payload_type: None,
            signatures: List::up_to(limits.max_signatures),
            max_signatures: limits.max_signatures,
            listed: false,
        }
    }

    /// `read` is what came of reading the document.
    pub fn finish(self, read: Result<(), JsonError>) -> Result<Envelope, EnvelopeError> {
        match read {
            Err(JsonError::Shape { .. }) if self.signatures.exceeded => {
                let max = self.max_signatures;
                return Err(EnvelopeError::TooManySignatures { max });
            }
            read => read?,
        }
        let payload = self.payload.ok_or_else(|| missing("payload"))?;
        let payload_type = self.payload_type.ok_or_else(|| missing("payloadType"))?;
        if !self.listed {
            return Err(missing("signatures"));
        }
        if self.signatures.items.is_empty() {
            return Err(EnvelopeError::NoSignature);
        }
        let payload = decode_base64(&payload).ok_or(EnvelopeError::Base64 { field: "payload" })?;
        let signatures = self.signatures.items.into_iter();
        let signatures = signatures
            .map(|s| {
                let sig = s.sig.ok_or_else(|| missing("sig"))?;
                let sig = decode_base64(&sig).ok_or(EnvelopeError::Base64 { field: "sig" })?;
                let keyid = s.keyid.filter(|id| !id.is_empty()).map(Cow::into_owned);
                Ok(EnvelopeSignature { keyid, sig })
            })
            .collect::<Result<_, EnvelopeError>>()?;
        Ok(Envelope {
            payload_type: payload_type.into_owned(),
            payload,
            signatures,
        })
    }
}

impl<'de> Members<'de> for WireIn<'de> {
    const NAMES: &'static [&'static str] = &["payload", "payloadType", "signatures"];

    fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error> {
        match name {
            "payload" => self.payload = Some(value.text()?),
            "payloadType" => self.payload_type = Some(value.text()?),
            _ => {
                self.listed = true;
                value.list(&mut self.signatures)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct WireSignatureIn<'a> {
    keyid: Option<Cow<'a, str>>,
    sig: Option<Cow<'a, str>>,
}

impl<'de> Members<'de> for WireSignatureIn<'de> {
    const NAMES: &'static [&'static str] = &["keyid", "sig"];

    fn member<V: Value<'de>>(&mut self, name: &str, value: V) -> Result<(), V::Error> {
        match name {
            "keyid" => self.keyid = value.text_or_null()?,
            _ => self.sig = Some(value.text()?),
        }
        Ok(())
    }
}

fn missing(field: &str) -> EnvelopeError {
    EnvelopeError::Json(JsonError::missing(field))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireOut<'a> {
    payload: String,
    payload_type: &'a str,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize)]
struct WireSignature {
    #[serde(skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

fn head(payload_type: &str, payload: &[u8]) -> (String, String) {
    (
        format!("DSSEv1 {} ", payload_type.len()),
        format!(" {} ", payload.len()),
    )
}

fn pae_parts<'a>(payload_type: &'a str, payload: &'a [u8], head: &'a (String, String)) -> [&'a [u8]; 4] {
    [
        head.0.as_bytes(),
        payload_type.as_bytes(),
        head.1.as_bytes(),
        payload,
    ]
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            payload_type: "http://example.com/HelloWorld".to_owned(),
            payload: b"hello world".to_vec(),
            signatures: vec![EnvelopeSignature {
                keyid: Some("k".to_owned()),
                sig: vec![0xfb, 0xff, 0xfe, 1],
            }],
        }
    }

    #[test]
    fn encodes_the_specifications_example() {
        assert_eq!(
            envelope().pae(),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(envelope().pae_digest(), Sha256::of(&envelope().pae()));
    }

    #[test]
    fn reads_both_alphabets_and_only_one_spelling_of_each() {
        for text in ["+//+AQ==", "+//+AQ", "-__-AQ==", "-__-AQ"] {
            assert_eq!(
                decode_base64(text).as_deref(),
                Some(&[0xfb, 0xff, 0xfe, 1][..]),
                "{text}"
            );
        }
        for text in ["+/_+AQ==", "+//+AR==", "+//+A", "+//+AQ= =", "ключ"] {
            assert_eq!(decode_base64(text), None, "{text}");
        }
    }

    proptest! {
        /// Another decoder, digit by digit, as the judge: lengths beyond every
        /// vector register, and one character changed into any other.
        #[test]
        fn base64_is_read_as_another_decoder_reads_it(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            url_safe: bool,
            padded: bool,
            change in proptest::option::of((any::<prop::sample::Index>(), "[A-Za-z0-9+/=_ \\n.-]|\\PC")),
        ) {
            use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
            let config = GeneralPurposeConfig::new()
                .with_encode_padding(padded)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let [standard, url] = [base64::alphabet::STANDARD, base64::alphabet::URL_SAFE]
                .map(|alphabet| GeneralPurpose::new(&alphabet, config));
            let mut text = if url_safe { url.encode(&bytes) } else { standard.encode(&bytes) };
            if let (Some((at, other)), false) = (&change, text.is_empty()) {
                let at = at.index(text.len());
                text.replace_range(at..=at, other);
            } else {
                prop_assert_eq!(decode_base64(&text), Some(bytes));
            }
            let half_padded = text.ends_with('=') && !text.len().is_multiple_of(4);
            let judge = standard.decode(&text).or_else(|_| url.decode(&text)).ok();
            prop_assert_eq!(decode_base64(&text), judge.filter(|_| !half_padded), "{}", text);
        }
    }

    #[test]
    fn every_vector_is_answered_with_the_code_its_folder_names() {
        crate::vectors::walk_by_code("envelope", |bytes| {
            Envelope::parse(bytes, &EnvelopeLimits::default()).map_err(|e| e.code())
        });
    }

    #[test]
    fn refuses_what_is_no_envelope() {
        let code =
            |text: &str| Envelope::parse(text.as_bytes(), &EnvelopeLimits::default()).map_err(|e| e.code());
        assert_eq!(
            code(r#"{"payload":"","payloadType":"t","signatures":[]}"#),
            Err("envelope.no-signature")
        );
        assert_eq!(code(r#"{"payload":"","payloadType":"t"}"#), Err("json.shape"));
        assert_eq!(
            code(r#"{"payload":"!","payloadType":"t","signatures":[{"sig":"AA=="}]}"#),
            Err("envelope.base64")
        );
        let many = vec![r#"{"sig":"AA=="}"#; 17].join(",");
        assert_eq!(
            code(&format!(
                r#"{{"payload":"","payloadType":"t","signatures":[{many}]}}"#
            )),
            Err("envelope.too-many-signatures")
        );
    }

    #[test]
    fn a_million_signatures_are_refused() {
        let million = vec![r#"{"sig":""}"#; 1_000_000].join(",");
        let text = format!(r#"{{"payload":"","payloadType":"t","signatures":[{million}]}}"#);
        assert_eq!(
            Envelope::parse(text.as_bytes(), &EnvelopeLimits::default()),
            Err(EnvelopeError::TooManySignatures { max: 16 })
        );
    }

    proptest! {
        #[test]
        fn survives_its_own_text(payload_type in ".{0,20}", payload: Vec<u8>, keyid in proptest::option::of(".{1,8}"), sig: Vec<u8>) {
            let envelope = Envelope { payload_type, payload, signatures: vec![EnvelopeSignature { keyid, sig }] };
            prop_assert_eq!(Envelope::parse(&envelope.to_json(), &EnvelopeLimits::default()), Ok(envelope));
        }
    }

    /// What still reads after a bit flip differs in what is signed, in the
    /// signature, or only in the key id, which is a hint and decides nothing.
    #[test]
    fn no_flipped_bit_goes_unnoticed_but_in_the_hint() {
        let sigs = |e: &Envelope| e.signatures.iter().map(|s| s.sig.clone()).collect::<Vec<_>>();
        let mut original = envelope();
        original.signatures.push(EnvelopeSignature {
            keyid: None,
            sig: vec![7; 64],
        });
        let bytes = original.to_json();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(read) = Envelope::parse(&flipped, &EnvelopeLimits::default()) else {
                continue;
            };
            if read.pae_digest() != original.pae_digest() || sigs(&read) != sigs(&original) {
                continue;
            }
            assert_ne!(read, original, "bit {bit}");
            let unhinted = Envelope {
                signatures: original.signatures.clone(),
                ..read
            };
            assert_eq!(unhinted, original, "bit {bit}");
        }
    }
}
