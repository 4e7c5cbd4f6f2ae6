//! Package URLs (ECMA-427) as the names of subjects, and the patterns by which
//! trust anchors say which names they judge.

mod index;
mod pattern;
#[cfg(test)]
mod tests;
mod text;
mod types;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use index::PatternIndex;
pub use pattern::{PatternError, PurlPattern, Specificity, most_specific};
pub use text::MAX_LENGTH;

use text::{Outline, SCHEME, decode, decode_segment, encode, encode_segments, is_dot_segment};
use types::{Namespace, rules_of};

/// A package URL in canonical form: two spellings of one name are equal.
///
/// Stricter than purl-spec in what could make one text mean two names: a
/// namespace segment or a name that is `.` or `..` or holds an encoded slash, a
/// raw `@` before the last slash but for a scope's, a second raw `?` or `#`, a
/// qualifier given twice, and control characters are refused.
#[derive(Clone)]
pub struct Purl {
    text: String,
    path_end: usize,
    version_end: usize,
    ty: String,
    namespace: Option<String>,
    name: String,
    version: Option<String>,
    qualifiers: BTreeMap<String, String>,
    subpath: Option<String>,
}

/// What a statement calls the artifact it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectName {
    Purl(Purl),
    Plain(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurlError {
    #[error("{0} bytes are too long for a package URL: at most {MAX_LENGTH} are read")]
    TooLong(usize),
    #[error("not a package URL: it must start with \"pkg:\"")]
    NoScheme,
    #[error("a package URL needs a type and a name, as in pkg:npm/left-pad")]
    Incomplete,
    #[error("\"{0}\" is not a package type: use letters, digits, \".\" and \"-\", a letter first")]
    Type(String),
    #[error("the package URL has no name")]
    NoName,
    #[error("the package URL has a control character that is not percent-encoded")]
    ControlCharacter,
    #[error("a second \"{0}\" in the package URL must be percent-encoded")]
    Ambiguous(char),
    #[error(
        "\"@\" before a later slash could begin a version or be part of a name: write it %40, or the slash %2F"
    )]
    AtBeforeSlash,
    #[error("\"%\" must be followed by two hex digits")]
    Escape,
    #[error("percent-encoded bytes are not UTF-8")]
    NotUtf8,
    #[error("a path segment must not hold an encoded slash")]
    SlashInSegment,
    #[error("\".\" and \"..\" cannot be a name or a part of a namespace")]
    DotSegment,
    #[error("\".\" and \"..\" in a subpath must not be percent-encoded")]
    EncodedDots,
    #[error("type {0} requires a namespace")]
    NamespaceRequired(String),
    #[error("type {0} has no namespace")]
    NamespaceProhibited(String),
    #[error("type {ty} requires the name to be {rule}")]
    Name { ty: String, rule: &'static str },
    #[error("type {ty} requires the version to be {rule}")]
    Version { ty: String, rule: &'static str },
    #[error(
        "\"{0}\" is not a qualifier: write key=value, the key of letters, digits, \".\", \"-\" and \"_\""
    )]
    QualifierKey(String),
    #[error("qualifier {0} is given twice")]
    QualifierTwice(String),
    #[error("type {ty} requires the qualifier {key}")]
    QualifierRequired { ty: String, key: &'static str },
}

/// The qualifiers by which a PURL says that it is not from its type's default
/// repository.
pub(crate) const ORIGIN_QUALIFIERS: [&str; 3] = ["download_url", "repository_url", "vcs_url"];

impl Purl {
    /// From components that are not percent-encoded; slashes separate the
    /// segments of `namespace` and `subpath`, and empty means absent.
    pub fn build<'a>(
        ty: &str,
        namespace: Option<&str>,
        name: &str,
        version: Option<&str>,
        qualifiers: impl IntoIterator<Item = (&'a str, &'a str)>,
        subpath: Option<&str>,
    ) -> Result<Self, PurlError> {
        let split = |text: Option<&str>| -> Vec<String> {
            text.unwrap_or_default().split('/').map(str::to_owned).collect()
        };
        let mut draft = Draft {
            ty: text::canonical_type(ty)?,
            namespace: split(namespace),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            qualifiers: BTreeMap::new(),
            subpath: split(subpath),
        };
        for (key, value) in qualifiers {
            draft.add_qualifier(text::canonical_key(key)?, value.to_owned())?;
        }
        draft.finish()
    }

    pub fn ty(&self) -> &str {
        &self.ty
    }

    /// Segments separated by `/`, not percent-encoded.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Sorted by key; no value is empty.
    pub fn qualifiers(&self) -> &BTreeMap<String, String> {
        &self.qualifiers
    }

    pub fn subpath(&self) -> Option<&str> {
        self.subpath.as_deref()
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Canonical `pkg:type/namespace/name`.
    fn path_text(&self) -> &str {
        &self.text[..self.path_end]
    }

    /// The version as it stands in the canonical text.
    fn version_text(&self) -> Option<&str> {
        self.text[self.path_end..self.version_end].strip_prefix('@')
    }
}

impl FromStr for Purl {
    type Err = PurlError;

    fn from_str(s: &str) -> Result<Self, PurlError> {
        let outline = Outline::of(s)?;
        let (ty, path) = text::cut_type(outline.path)?;
        let (path, version) = text::cut_version(path)?;
        let (namespace, name) = decode_path(path)?;
        let mut draft = Draft {
            ty,
            namespace,
            name,
            version: version.map(decode).transpose()?,
            qualifiers: BTreeMap::new(),
            subpath: decode_subpath(outline.fragment.unwrap_or_default())?,
        };
        for pair in text::pairs(outline.query.unwrap_or_default()) {
            let (key, value) = pair?;
            draft.add_qualifier(key, decode(value)?)?;
        }
        draft.finish()
    }
}

impl SubjectName {
    /// Text that starts with `pkg:` must be a package URL; any other is plain.
    pub fn parse(s: &str) -> Result<Self, PurlError> {
        if text::has_scheme(s) {
            return s.parse().map(Self::Purl);
        }
        text::check_length(s)?;
        Ok(Self::Plain(s.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Purl(purl) => purl.as_str(),
            Self::Plain(text) => text,
        }
    }
}

/// Decoded components on their way to canonical form.
struct Draft {
    ty: String,
    namespace: Vec<String>,
    name: String,
    version: Option<String>,
    qualifiers: BTreeMap<String, String>,
    subpath: Vec<String>,
}

impl Draft {
    fn add_qualifier(&mut self, key: String, value: String) -> Result<(), PurlError> {
        match self.qualifiers.insert(key.clone(), value) {
            None => Ok(()),
            Some(_) => Err(PurlError::QualifierTwice(key)),
        }
    }

    fn finish(mut self) -> Result<Purl, PurlError> {
        let rules = rules_of(&self.ty);
        self.qualifiers.retain(|_, value| !value.is_empty());
        if let Some(key) = rules.required_qualifier
            && !self.qualifiers.contains_key(key)
        {
            return Err(PurlError::QualifierRequired { ty: self.ty, key });
        }
        let origin = self.qualifiers.get("repository_url").map(String::as_str);
        let path = CanonicalPath::of(&self.ty, self.namespace, &self.name, origin)?;
        let version = self
            .version
            .filter(|version| !version.is_empty())
            .map(|version| canonical_version(&self.ty, &version))
            .transpose()?;
        let subpath = subpath_segments(self.subpath);

        let mut text = path.text;
        let path_end = text.len();
        if let Some(version) = &version {
            text.push('@');
            text.push_str(&encode(version));
        }
        let version_end = text.len();
        for (index, (key, value)) in self.qualifiers.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(key);
            text.push('=');
            text.push_str(&encode(value));
        }
        if !subpath.is_empty() {
            text.push('#');
            text.push_str(&encode_segments(&subpath));
        }
        text::check_length(&text)?;
        Ok(Purl {
            text,
            path_end,
            version_end,
            ty: self.ty,
            namespace: (!path.namespace.is_empty()).then(|| path.namespace.join("/")),
            name: path.name,
            version,
            qualifiers: self.qualifiers,
            subpath: (!subpath.is_empty()).then(|| subpath.join("/")),
        })
    }
}

/// Type, namespace and name after the rules of the type.
struct CanonicalPath {
    text: String,
    namespace: Vec<String>,
    name: String,
}

impl CanonicalPath {
    fn of(ty: &str, namespace: Vec<String>, name: &str, origin: Option<&str>) -> Result<Self, PurlError> {
        let rules = rules_of(ty);
        let mut segments = namespace;
        segments.retain(|segment| !segment.is_empty());
        let mut name_parts = vec![name.trim_matches('/').to_owned()];
        if rules.name_spans_segments {
            segments.extend(name_parts.remove(0).split('/').map(str::to_owned));
            segments.retain(|segment| !segment.is_empty());
            name_parts = segments.split_off(segments.len().min(1));
        }
        // `@acme%2Fapp` would be a second spelling of `@acme/app`, judged by
        // another anchor.
        if segments.iter().chain(&name_parts).any(|part| part.contains('/')) {
            return Err(PurlError::SlashInSegment);
        }
        let (namespace_fold, name_fold) = rules.folds(segments.first().map(String::as_str), origin);
        let namespace: Vec<String> = segments.iter().map(|s| namespace_fold.apply(s)).collect();
        let name_parts: Vec<String> = name_parts.iter().map(|s| name_fold.apply(s)).collect();
        let name = name_parts.join("/");

        if name.is_empty() {
            return Err(PurlError::NoName);
        }
        check_namespace(ty, &namespace)?;
        if namespace
            .iter()
            .chain(&name_parts)
            .any(|part| is_dot_segment(part))
        {
            return Err(PurlError::DotSegment);
        }
        if let Some(rule) = rules.name_fault(&name) {
            return Err(PurlError::Name {
                ty: ty.to_owned(),
                rule,
            });
        }
        let segments: Vec<&String> = namespace.iter().chain(&name_parts).collect();
        Ok(Self {
            text: format!("{SCHEME}{ty}/{}", encode_segments(&segments)),
            namespace,
            name,
        })
    }
}

fn check_namespace(ty: &str, namespace: &[String]) -> Result<(), PurlError> {
    match (rules_of(ty).namespace, namespace.is_empty()) {
        (Namespace::Required, true) => Err(PurlError::NamespaceRequired(ty.to_owned())),
        (Namespace::Prohibited, false) => Err(PurlError::NamespaceProhibited(ty.to_owned())),
        _ => Ok(()),
    }
}

fn canonical_version(ty: &str, version: &str) -> Result<String, PurlError> {
    let rules = rules_of(ty);
    match rules.version_fault(version) {
        Some(rule) => Err(PurlError::Version {
            ty: ty.to_owned(),
            rule,
        }),
        None => Ok(rules.version_fold.apply(version)),
    }
}

/// Namespace segments and name of `namespace/name`.
fn decode_path(path: &str) -> Result<(Vec<String>, String), PurlError> {
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    let namespace = namespace
        .split('/')
        .map(decode_segment)
        .collect::<Result<_, _>>()?;
    Ok((namespace, decode_segment(name)?))
}

/// `.` and `..` are dropped here and encoded ones by URL readers alone, so
/// those are refused.
fn decode_subpath(fragment: &str) -> Result<Vec<String>, PurlError> {
    let meaningful = fragment.split('/').filter(|raw| !is_dot_segment(raw));
    meaningful
        .map(|raw| match decode_segment(raw)? {
            dots if is_dot_segment(&dots) => Err(PurlError::EncodedDots),
            segment => Ok(segment),
        })
        .collect()
}

/// ECMA-427 drops what has no meaning in a path below the package's root.
fn subpath_segments(mut segments: Vec<String>) -> Vec<String> {
    segments.retain(|segment| !segment.is_empty() && !is_dot_segment(segment));
    segments
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Purl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Purl {}

impl PartialOrd for Purl {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Purl {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for Purl {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Serialize for Purl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Purl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
