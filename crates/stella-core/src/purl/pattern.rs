//! The patterns by which a trust anchor says which names it judges.
//!
//! A pattern is an exact package URL, or one whose parts end in `*`, or `*`
//! alone; without `pkg:` it speaks of plain names. The parts are the path
//! (`type/namespace/name`), the version, each qualifier's value, the subpath.
//! - A part that the pattern does not name is not asked about, except that a
//!   PURL that names its origin matches only a pattern that names that origin
//!   too, or `*`.
//! - A version may follow only a whole name, so that paths and versions form
//!   a tree: of two that match one name, one lies within the other.
//! - A raw `*` is always the wildcard; a literal one is written `%2A`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::{self, Outline, SCHEME, decode, decode_segment, encode, encode_segments, is_dot_segment};
use super::types::{Namespace, rules_of};
use super::{
    CanonicalPath, ORIGIN_QUALIFIERS, Purl, PurlError, SubjectName, canonical_version, check_namespace,
    decode_path, decode_subpath, subpath_segments,
};

/// A pattern over subject names, in canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurlPattern {
    text: String,
    scope: Scope,
}

/// How narrow a pattern is, to compare patterns that match one same name:
/// the greater wins, and two that are equal are the same pattern.
///
/// Compared in this order, a longer literal beating a shorter and an exact one
/// beating a `*` after the same literal: anything beats `*`; the origin (who
/// publishes outweighs what it is called); the path; the version; the other
/// qualifiers, first by how many, then one by one; the subpath.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity<'a> {
    named: bool,
    origin: Vec<(&'a str, Narrowness)>,
    path: Narrowness,
    version: Option<Narrowness>,
    qualifier_count: usize,
    qualifiers: Vec<(&'a str, Narrowness)>,
    subpath: Option<Narrowness>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern is empty: write \"*\" to match every name")]
    Empty,
    #[error("\"*\" may stand only at the end of the name, the version, a qualifier's value or the subpath")]
    Wildcard,
    #[error("\"*\" cannot complete a package type: write pkg:npm/*, or pkg:* for every type")]
    WildcardInType,
    #[error("a version can only follow a whole name, not \"*\"")]
    VersionAfterWildcard,
    #[error("qualifier {0} has no value: write \"{0}=*\" for any value")]
    EmptyQualifier(String),
    #[error("\"*\" in {0} may not cut a host name short: it would match other people's hosts as well")]
    OpenOrigin(String),
    #[error(transparent)]
    Purl(#[from] PurlError),
}

/// The items that hold the most specific of the patterns that match: one
/// pattern, though several items may hold it. None when no pattern matches.
pub fn most_specific<'a, T>(
    patterns: impl Iterator<Item = (&'a PurlPattern, T)>,
    name: &SubjectName,
) -> Vec<T> {
    let mut winner: Option<&PurlPattern> = None;
    let mut items = Vec::new();
    for (pattern, item) in patterns.filter(|(pattern, _)| pattern.matches(name)) {
        let narrower = winner.is_none_or(|w| pattern.specificity() > w.specificity());
        if narrower {
            winner = Some(pattern);
            items.clear();
        }
        if winner == Some(pattern) {
            items.push(item);
        }
    }
    items
}

impl PurlPattern {
    pub fn matches(&self, name: &SubjectName) -> bool {
        match (&self.scope, name) {
            (Scope::All, _) => true,
            (Scope::Plain(part), SubjectName::Plain(text)) => part.accepts(text),
            (Scope::Purl(pattern), SubjectName::Purl(purl)) => pattern.accepts(purl),
            _ => false,
        }
    }

    pub fn specificity(&self) -> Specificity<'_> {
        match &self.scope {
            Scope::All => Specificity::of_part(false, Narrowness::default()),
            Scope::Plain(part) => Specificity::of_part(true, part.narrowness()),
            Scope::Purl(pattern) => pattern.specificity(),
        }
    }

    /// Whether the pattern is `*`.
    pub fn is_universal(&self) -> bool {
        self.scope == Scope::All
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What every name that it matches begins with.
    pub(super) fn beginning(&self) -> Beginning<'_> {
        match &self.scope {
            Scope::All => Beginning::Any,
            Scope::Plain(part) => Beginning::Plain(&part.literal),
            Scope::Purl(pattern) => Beginning::Path(&pattern.path.literal),
        }
    }
}

pub(super) enum Beginning<'a> {
    Any,
    Plain(&'a str),
    /// Of a package URL, the path.
    Path(&'a str),
}

/// The pattern of exactly what this PURL names.
impl From<&Purl> for PurlPattern {
    fn from(purl: &Purl) -> Self {
        let whole = |literal: &str| Part {
            literal: literal.to_owned(),
            open: false,
        };
        let fragment = purl.as_str().split_once('#').map(|(_, fragment)| whole(fragment));
        let scope = Scope::Purl(PurlScope {
            path: whole(purl.path_text()),
            version: purl.version_text().map(whole),
            qualifiers: purl
                .qualifiers()
                .iter()
                .map(|(key, value)| (key.clone(), whole(value)))
                .collect(),
            subpath: fragment,
        });
        Self {
            text: purl.as_str().to_owned(),
            scope,
        }
    }
}

impl FromStr for PurlPattern {
    type Err = PatternError;

    fn from_str(s: &str) -> Result<Self, PatternError> {
        let scope = match s {
            "" => return Err(PatternError::Empty),
            "*" => Scope::All,
            purl if text::has_scheme(purl) => Scope::Purl(purl.parse()?),
            plain => {
                text::check_length(plain)?;
                let (literal, open) = cut_wildcard(plain)?;
                Scope::Plain(Part {
                    literal: literal.to_owned(),
                    open,
                })
            }
        };
        let text = scope.to_string();
        text::check_length(&text)?;
        Ok(Self { text, scope })
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scope {
    All,
    Plain(Part),
    Purl(PurlScope),
}

/// Path, version and subpath percent-encoded as in the canonical text, the
/// values of qualifiers not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PurlScope {
    path: Part,
    version: Option<Part>,
    qualifiers: BTreeMap<String, Part>,
    subpath: Option<Part>,
}

/// A literal, and whether more may follow it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Part {
    literal: String,
    open: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Narrowness {
    length: usize,
    exact: bool,
}

impl Part {
    fn accepts(&self, text: &str) -> bool {
        if self.open {
            text.starts_with(&self.literal)
        } else {
            text == self.literal
        }
    }

    fn narrowness(&self) -> Narrowness {
        Narrowness {
            length: self.literal.len(),
            exact: !self.open,
        }
    }
}

impl<'a> Specificity<'a> {
    fn of_part(named: bool, path: Narrowness) -> Self {
        Self {
            named,
            origin: Vec::new(),
            path,
            version: None,
            qualifier_count: 0,
            qualifiers: Vec::new(),
            subpath: None,
        }
    }
}

impl PurlScope {
    fn accepts(&self, purl: &Purl) -> bool {
        let origin_named = purl
            .qualifiers()
            .keys()
            .all(|key| !is_origin(key) || self.qualifiers.contains_key(key));
        let qualifiers_fit = self.qualifiers.iter().all(|(key, part)| {
            purl.qualifiers()
                .get(key)
                .is_some_and(|value| part.accepts(value) && !(part.open && is_origin(key) && climbs(value)))
        });
        let fits = |part: &Option<Part>, text: Option<&str>| {
            part.as_ref()
                .is_none_or(|part| text.is_some_and(|text| part.accepts(text)))
        };
        origin_named
            && qualifiers_fit
            && self.path.accepts(purl.path_text())
            && fits(&self.version, purl.version_text())
            && fits(
                &self.subpath,
                purl.as_str().split_once('#').map(|(_, subpath)| subpath),
            )
    }

    fn specificity(&self) -> Specificity<'_> {
        let (origin, qualifiers): (Vec<_>, Vec<_>) = self
            .qualifiers
            .iter()
            .map(|(key, part)| (key.as_str(), part.narrowness()))
            .partition(|(key, _)| is_origin(key));
        Specificity {
            named: true,
            origin,
            path: self.path.narrowness(),
            version: self.version.as_ref().map(Part::narrowness),
            qualifier_count: qualifiers.len(),
            qualifiers,
            subpath: self.subpath.as_ref().map(Part::narrowness),
        }
    }
}

impl FromStr for PurlScope {
    type Err = PatternError;

    fn from_str(s: &str) -> Result<Self, PatternError> {
        let outline = Outline::of(s)?;
        let qualifiers = qualifier_parts(outline.query.unwrap_or_default())?;
        let origin = qualifiers.get("repository_url").map(|part| part.literal.as_str());
        let (path, version) = if outline.path == "*" {
            let literal = SCHEME.to_owned();
            (Part { literal, open: true }, None)
        } else {
            path_and_version(outline.path, origin)?
        };
        Ok(Self {
            path,
            version,
            subpath: subpath_part(outline.fragment.unwrap_or_default())?,
            qualifiers,
        })
    }
}

fn path_and_version(path: &str, origin: Option<&str>) -> Result<(Part, Option<Part>), PatternError> {
    if !path.contains('/') && path.contains('*') {
        return Err(PatternError::WildcardInType);
    }
    let (ty, rest) = text::cut_type(path)?;
    let (rest, version) = match text::cut_version(rest)? {
        // An open part that begins with `@` is a scope, `@ac*`: no name, so no version.
        (name, Some(_)) if rest.ends_with('*') && (name.is_empty() || name.ends_with('/')) => (rest, None),
        cut => cut,
    };
    let (literal, open) = cut_wildcard(rest)?;
    let path = if open {
        open_path(&ty, literal, origin)?
    } else {
        let (namespace, name) = decode_path(literal)?;
        CanonicalPath::of(&ty, namespace, &name, origin)?.text
    };
    let version = match version {
        Some(_) if open => return Err(PatternError::VersionAfterWildcard),
        Some(version) if !version.is_empty() => Some(version_part(&ty, version)?),
        _ => None,
    };
    Ok((Part { literal: path, open }, version))
}

/// The canonical text of a path that is cut off somewhere.
///
/// Whole segments are a namespace's. The one that is cut counts as a name's,
/// except where the type requires a namespace and it is the first.
fn open_path(ty: &str, literal: &str, origin: Option<&str>) -> Result<String, PatternError> {
    let rules = rules_of(ty);
    let (whole, cut) = literal.rsplit_once('/').unwrap_or(("", literal));
    let mut segments = whole
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode_segment)
        .collect::<Result<Vec<_>, _>>()?;
    let cut = decode_segment(cut)?;
    let (namespace_fold, name_fold) = rules.folds(segments.first().map(String::as_str), origin);
    let names_from = if rules.name_spans_segments {
        1
    } else {
        segments.len()
    };
    for (index, segment) in segments.iter_mut().enumerate() {
        let fold = if index < names_from {
            namespace_fold
        } else {
            name_fold
        };
        *segment = fold.apply(segment);
        if is_dot_segment(segment) {
            return Err(PurlError::DotSegment.into());
        }
    }
    let cut_is_namespace = segments.is_empty() && rules.namespace == Namespace::Required;
    let cut = if cut_is_namespace {
        namespace_fold
    } else {
        name_fold
    }
    .apply(&cut);
    if !segments.is_empty() {
        check_namespace(ty, &segments)?;
    }
    segments.push(cut);
    Ok(format!("{SCHEME}{ty}/{}", encode_segments(&segments)))
}

fn version_part(ty: &str, version: &str) -> Result<Part, PatternError> {
    let (literal, open) = cut_wildcard(version)?;
    let literal = decode(literal)?;
    let literal = if open {
        rules_of(ty).version_fold.apply(&literal)
    } else {
        canonical_version(ty, &literal)?
    };
    Ok(Part {
        literal: encode(&literal),
        open,
    })
}

fn qualifier_parts(query: &str) -> Result<BTreeMap<String, Part>, PatternError> {
    let mut parts = BTreeMap::new();
    for pair in text::pairs(query) {
        let (key, value) = pair?;
        let (literal, open) = cut_wildcard(value)?;
        // Left out, as in a PURL, it would widen the pattern without a word.
        if value.is_empty() {
            return Err(PatternError::EmptyQualifier(key));
        }
        let literal = decode(literal)?;
        if is_origin(&key) && open && cuts_host(&literal) {
            return Err(PatternError::OpenOrigin(key));
        }
        if parts.insert(key.clone(), Part { literal, open }).is_some() {
            return Err(PurlError::QualifierTwice(key).into());
        }
    }
    Ok(parts)
}

fn subpath_part(fragment: &str) -> Result<Option<Part>, PatternError> {
    let (literal, open) = cut_wildcard(fragment)?;
    let (whole, cut) = match literal.rsplit_once('/') {
        Some((whole, cut)) if open => (whole, cut),
        _ if open => ("", literal),
        _ => (literal, ""),
    };
    let mut segments = subpath_segments(decode_subpath(whole)?);
    if open {
        segments.push(decode_segment(cut)?);
    }
    let literal = encode_segments(&segments);
    Ok((open || !literal.is_empty()).then_some(Part { literal, open }))
}

fn cut_wildcard(part: &str) -> Result<(&str, bool), PatternError> {
    let (literal, open) = match part.strip_suffix('*') {
        Some(literal) => (literal, true),
        None => (part, false),
    };
    if literal.contains('*') {
        return Err(PatternError::Wildcard);
    }
    Ok((literal, open))
}

/// `ghcr.io*` would match `ghcr.io.example`, which somebody else may own.
fn cuts_host(literal: &str) -> bool {
    let after_scheme = literal.split_once("://").map_or(literal, |(_, rest)| rest);
    !after_scheme.is_empty() && !after_scheme.contains('/')
}

fn is_origin(key: &str) -> bool {
    ORIGIN_QUALIFIERS.contains(&key)
}

/// Whether a URL has `.` or `..` segments, in any of the spellings that URL
/// readers fold: then it leads elsewhere than its beginning says.
fn climbs(url: &str) -> bool {
    let plain = url.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    plain.split(['/', '?', '#']).any(is_dot_segment)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = |part: &Part| if part.open { "*" } else { "" };
        let purl = match self {
            Self::All => return f.write_str("*"),
            Self::Plain(part) => return write!(f, "{}{}", part.literal, star(part)),
            Self::Purl(purl) => purl,
        };
        write!(f, "{}{}", purl.path.literal, star(&purl.path))?;
        if let Some(version) = &purl.version {
            write!(f, "@{}{}", version.literal, star(version))?;
        }
        for (index, (key, value)) in purl.qualifiers.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            write!(f, "{separator}{key}={}{}", encode(&value.literal), star(value))?;
        }
        match &purl.subpath {
            Some(subpath) => write!(f, "#{}{}", subpath.literal, star(subpath)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PurlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for PurlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for PurlPattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PurlPattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
