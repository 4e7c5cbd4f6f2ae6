//! What the PURL type definitions ask of each type (ECMA-427, purl-spec
//! `types/*-definition.json`), in one table. A type that is not listed has no
//! rules of its own: its text is kept as it is.

use Fold::{Keep, Lower, LowerDash, LowerUnderscore, Upper};
use Namespace::{Optional, Prohibited, Required};

/// Whether a type's packages live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    Optional,
    Required,
    Prohibited,
}

/// How a component is brought to its one canonical spelling.
///
/// Every fold works character by character, without context, so that the fold
/// of a prefix is a prefix of the fold: patterns rest on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Keep,
    Lower,
    Upper,
    /// `_` is `-` (pypi).
    LowerDash,
    /// Whatever is no letter or digit is `_` (pub).
    LowerUnderscore,
}

impl Fold {
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Keep => text.to_owned(),
            Self::Lower => lower(text),
            Self::Upper => text.to_ascii_uppercase(),
            Self::LowerDash => lower(text).replace('_', "-"),
            Self::LowerUnderscore => {
                let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                lower(text)
                    .chars()
                    .map(|c| if word(c) { c } else { '_' })
                    .collect()
            }
        }
    }
}

/// Types whose names are one case or the other depending on who hosts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CaseBy {
    Type,
    /// The host that is the first namespace segment (git).
    GitHost,
    /// The tracking server in `repository_url` (mlflow).
    TrackingServer,
}

/// What the text of a whole name and version must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Any,
    /// A CPAN distribution, `URI-PackageURL`, not a module, `URI::PackageURL`.
    CpanDistribution,
    ChromeExtension,
}

pub(super) struct TypeRules {
    ty: &'static str,
    pub(super) namespace: Namespace,
    namespace_fold: Fold,
    name_fold: Fold,
    pub(super) version_fold: Fold,
    /// The namespace is one segment and the name all the others (git).
    pub(super) name_spans_segments: bool,
    pub(super) required_qualifier: Option<&'static str>,
    case_by: CaseBy,
    shape: Shape,
}

/// The rules of a type given in lower case.
pub(super) fn rules_of(ty: &str) -> &'static TypeRules {
    TYPES.iter().find(|rules| rules.ty == ty).unwrap_or(&UNLISTED)
}

impl TypeRules {
    /// The folds of namespace and name.
    pub(super) fn folds(&self, host: Option<&str>, repository_url: Option<&str>) -> (Fold, Fold) {
        let caseless = match self.case_by {
            CaseBy::Type => false,
            CaseBy::GitHost => host.is_some_and(is_caseless_git_host),
            CaseBy::TrackingServer => repository_url.is_some_and(is_databricks),
        };
        if caseless {
            (Fold::Lower, Fold::Lower)
        } else {
            (self.namespace_fold, self.name_fold)
        }
    }

    /// The rule that a whole, folded name breaks, if any.
    pub(super) fn name_fault(&self, name: &str) -> Option<&'static str> {
        let (good, rule) = match self.shape {
            Shape::Any => return None,
            Shape::CpanDistribution => (!name.contains("::"), "a distribution name without \"::\""),
            Shape::ChromeExtension => (
                name.len() == 32 && name.bytes().all(|b| (b'a'..=b'p').contains(&b)),
                "32 letters from a to p",
            ),
        };
        (!good).then_some(rule)
    }

    /// The rule that a whole version breaks, if any.
    pub(super) fn version_fault(&self, version: &str) -> Option<&'static str> {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let good = self.shape != Shape::ChromeExtension
            || (version.split('.').count() <= 4 && version.split('.').all(number));
        (!good).then_some("one to four numbers with dots between")
    }
}

const UNLISTED: TypeRules = TypeRules {
    ty: "",
    namespace: Namespace::Optional,
    namespace_fold: Fold::Keep,
    name_fold: Fold::Keep,
    version_fold: Fold::Keep,
    name_spans_segments: false,
    required_qualifier: None,
    case_by: CaseBy::Type,
    shape: Shape::Any,
};

#[rustfmt::skip]
const TYPES: &[TypeRules] = &[
    // Type, namespace and its fold, name, version.
    rules("alpm",             Required,   Lower, Lower,           Keep),
    rules("apk",              Required,   Lower, Lower,           Keep),
    rules("bazel",            Prohibited, Keep,  Keep,            Keep),
    rules("bitbucket",        Required,   Lower, Lower,           Keep),
    rules("bitnami",          Prohibited, Keep,  Lower,           Keep),
    rules("brew",             Optional,   Lower, Lower,           Keep),
    rules("cargo",            Prohibited, Keep,  Keep,            Keep),
    TypeRules { shape: Shape::ChromeExtension,
      ..rules("chrome-extension", Prohibited, Keep, Lower,        Keep) },
    rules("cocoapods",        Prohibited, Keep,  Keep,            Keep),
    rules("composer",         Required,   Lower, Lower,           Keep),
    rules("conan",            Optional,   Keep,  Keep,            Keep),
    rules("conda",            Prohibited, Keep,  Keep,            Keep),
    TypeRules { shape: Shape::CpanDistribution,
      ..rules("cpan",         Optional,   Upper, Keep,            Keep) },
    rules("cran",             Prohibited, Keep,  Keep,            Keep),
    rules("deb",              Required,   Lower, Lower,           Keep),
    rules("docker",           Optional,   Keep,  Keep,            Keep),
    rules("gem",              Prohibited, Keep,  Keep,            Keep),
    rules("generic",          Optional,   Keep,  Keep,            Keep),
    TypeRules { name_spans_segments: true, case_by: CaseBy::GitHost,
      ..rules("git",          Required,   Keep,  Keep,            Keep) },
    rules("github",           Required,   Lower, Lower,           Keep),
    rules("golang",           Required,   Keep,  Keep,            Keep),
    rules("hackage",          Prohibited, Keep,  Keep,            Keep),
    rules("hex",              Optional,   Lower, Lower,           Keep),
    rules("huggingface",      Required,   Keep,  Keep,            Lower),
    TypeRules { required_qualifier: Some("uuid"),
      ..rules("julia",        Prohibited, Keep,  Keep,            Keep) },
    rules("luarocks",         Optional,   Lower, Lower,           Keep),
    rules("maven",            Required,   Keep,  Keep,            Keep),
    TypeRules { case_by: CaseBy::TrackingServer,
      ..rules("mlflow",       Prohibited, Keep,  Keep,            Keep) },
    rules("npm",              Optional,   Keep,  Keep,            Keep),
    rules("nuget",            Prohibited, Keep,  Keep,            Keep),
    rules("oci",              Prohibited, Keep,  Lower,           Lower),
    rules("opam",             Prohibited, Keep,  Keep,            Keep),
    rules("otp",              Prohibited, Keep,  Lower,           Keep),
    rules("pub",              Prohibited, Keep,  LowerUnderscore, Keep),
    rules("pypi",             Prohibited, Keep,  LowerDash,       Lower),
    rules("qpkg",             Required,   Lower, Keep,            Keep),
    rules("rpm",              Required,   Lower, Keep,            Keep),
    TypeRules { required_qualifier: Some("tag_id"),
      ..rules("swid",         Optional,   Keep,  Keep,            Keep) },
    rules("swift",            Required,   Keep,  Keep,            Keep),
    rules("vcpkg",            Prohibited, Keep,  Keep,            Keep),
    rules("vscode-extension", Required,   Lower, Lower,           Lower),
    rules("yocto",            Optional,   Lower, Keep,            Keep),
];

const fn rules(
    ty: &'static str,
    namespace: Namespace,
    namespace_fold: Fold,
    name_fold: Fold,
    version_fold: Fold,
) -> TypeRules {
    TypeRules {
        ty,
        namespace,
        namespace_fold,
        name_fold,
        version_fold,
        ..UNLISTED
    }
}

/// The git type keeps case, but these hosts have types of their own (github,
/// bitbucket) that do not: one repository must not have two names.
fn is_caseless_git_host(host: &str) -> bool {
    ["github", "github.com", "bitbucket.org"]
        .iter()
        .any(|known| host.eq_ignore_ascii_case(known))
}

/// The mlflow definition: names are caseless on Databricks, not on Azure ML.
fn is_databricks(repository_url: &str) -> bool {
    let after_scheme = repository_url
        .split_once("://")
        .map_or(repository_url, |(_, rest)| rest);
    let host = after_scheme.split('/').next().unwrap_or_default();
    [".azuredatabricks.net", ".databricks.com"]
        .iter()
        .any(|domain| host.to_ascii_lowercase().ends_with(domain))
}

fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}
