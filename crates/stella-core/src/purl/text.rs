//! The text of a package URL: its separators and its percent-encoding
//! (ECMA-427, "Character encoding"; purl-spec, "How to parse a PURL").

use super::PurlError;

/// The longest name or pattern that is read or made, in bytes.
pub const MAX_LENGTH: usize = 4096;

pub(super) const SCHEME: &str = "pkg:";

/// A package URL cut at its separators, nothing decoded yet.
pub(super) struct Outline<'a> {
    /// `type/namespace/name@version`, without the slashes around it.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

/// Schemes are caseless (RFC 3986 section 3.1).
pub(super) fn has_scheme(text: &str) -> bool {
    text.get(..SCHEME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

impl<'a> Outline<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, PurlError> {
        check_length(text)?;
        if !has_scheme(text) {
            return Err(PurlError::NoScheme);
        }
        let control = match text.is_ascii() {
            true => text.bytes().any(|byte| byte.is_ascii_control()),
            false => text.chars().any(char::is_control),
        };
        if control {
            return Err(PurlError::ControlCharacter);
        }
        let rest = &text[SCHEME.len()..];
        let (rest, fragment) = cut_last(rest, '#')?;
        let (rest, query) = cut_last(rest, '?')?;
        Ok(Self {
            path: rest.trim_matches('/'),
            query,
            fragment,
        })
    }
}

pub(super) fn check_length(text: &str) -> Result<(), PurlError> {
    if text.len() > MAX_LENGTH {
        return Err(PurlError::TooLong(text.len()));
    }
    Ok(())
}

/// The type in lower case, and what follows it.
pub(super) fn cut_type(path: &str) -> Result<(String, &str), PurlError> {
    let (ty, rest) = path.split_once('/').ok_or(PurlError::Incomplete)?;
    Ok((canonical_type(ty)?, rest))
}

pub(super) fn canonical_type(ty: &str) -> Result<String, PurlError> {
    let letter_first = ty.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    if !letter_first || !ty.bytes().all(plain) {
        return Err(PurlError::Type(ty.chars().take(64).collect()));
    }
    Ok(ty.to_ascii_lowercase())
}

/// `@` starts a version only after the last `/`: `@acme/app` has none. Other
/// readers take `app@1/2` for version `1/2` of `app`; a scope alone leaves them
/// no name to read it so.
pub(super) fn cut_version(path: &str) -> Result<(&str, Option<&str>), PurlError> {
    match path.rsplit_once('@') {
        Some(("", scoped)) if scoped.contains('/') => Ok((path, None)),
        Some((_, rest)) if rest.contains('/') => Err(PurlError::AtBeforeSlash),
        Some((name, version)) => Ok((name, Some(version))),
        None => Ok((path, None)),
    }
}

/// The `key=value` pairs of a query, keys checked and in lower case, values
/// still encoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = Result<(String, &str), PurlError>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').ok_or_else(|| bad_key(pair))?;
        Ok((canonical_key(key)?, value))
    })
}

pub(super) fn canonical_key(key: &str) -> Result<String, PurlError> {
    let letter_first = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !letter_first || !key.bytes().all(plain) {
        return Err(bad_key(key));
    }
    Ok(key.to_ascii_lowercase())
}

pub(super) fn decode(text: &str) -> Result<String, PurlError> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = bytes.next().and_then(hex_digit).ok_or(PurlError::Escape)?;
        let low = bytes.next().and_then(hex_digit).ok_or(PurlError::Escape)?;
        out.push(high << 4 | low);
    }
    String::from_utf8(out).map_err(|_| PurlError::NotUtf8)
}

/// A segment of a path, where an encoded slash would be a second opinion on
/// where the segment ends.
pub(super) fn decode_segment(text: &str) -> Result<String, PurlError> {
    let segment = decode(text)?;
    if segment.contains('/') {
        return Err(PurlError::SlashInSegment);
    }
    Ok(segment)
}

pub(super) fn encode(text: &str) -> String {
    let stands = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':');
    if text.bytes().all(stands) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stands(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    out
}

pub(super) fn encode_segments<S: AsRef<str>>(segments: &[S]) -> String {
    let encoded: Vec<String> = segments.iter().map(|s| encode(s.as_ref())).collect();
    encoded.join("/")
}

/// A URL reader folds these away, and what then remains is another name.
pub(super) fn is_dot_segment(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// purl-spec cuts from the right, URL readers from the left: where that makes
/// a difference the text means two things, and is refused.
fn cut_last(text: &str, separator: char) -> Result<(&str, Option<&str>), PurlError> {
    match text.rsplit_once(separator) {
        None => Ok((text, None)),
        Some((rest, _)) if rest.contains(separator) => Err(PurlError::Ambiguous(separator)),
        Some((rest, cut)) => Ok((rest, Some(cut))),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn bad_key(key: &str) -> PurlError {
    PurlError::QualifierKey(key.chars().take(64).collect())
}
