//! The forms of `--subject`: `name:sha256:HEX`, `NAME@sha256:HEX`, a PURL with
//! `@sha256:HEX`, a bare digest, a file, or a bare test subject.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stella_core::api::attestations::SubjectInput;
use stella_core::digest::Sha256;
use stella_core::purl::Purl;

use super::digest::Digest;
use crate::error::CliError;

/// What was typed, its form decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Named {
        name: Option<String>,
        digest: Digest,
    },
    File(PathBuf),
    /// Stands for nothing but itself: its digest is the name's.
    Test(String),
}

impl Subject {
    pub fn parse(text: &str) -> Result<Self, CliError> {
        if let Some((name, tail)) = text.rsplit_once('@')
            && Digest::looks_like(tail)
        {
            return named(Some(name), tail);
        }
        if Digest::looks_like(text) || is_hex_digest(text) {
            return named(None, text);
        }
        if let Some((rest, _)) = text.rsplit_once(':')
            && let Some((name, _)) = rest.rsplit_once(':')
            && let Some(tail) = text.get(name.len() + 1..)
            && Digest::looks_like(tail)
        {
            return named(Some(name), tail);
        }
        if Path::new(text).is_file() {
            return Ok(Self::File(PathBuf::from(text)));
        }
        if text.starts_with("test:") && text.len() > 5 {
            return Ok(Self::Test(text.to_owned()));
        }
        Err(unknown_form(text))
    }

    /// `purl` names a file or a bare digest, and overrules the name given.
    pub fn resolve(self, purl: Option<&str>, show_progress: bool) -> Result<SubjectInput, CliError> {
        let (name, digest) = match self {
            Self::Named { name, digest } => (name, digest),
            Self::File(path) => {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
                (name, Digest::of_file(&path, show_progress)?)
            }
            Self::Test(name) => {
                let hex = Sha256::of(name.as_bytes()).to_hex();
                (Some(name), Digest::sha256(hex))
            }
        };
        Ok(SubjectInput {
            name: purl.map(str::to_owned).or(name),
            digest: BTreeMap::from([(digest.algorithm, digest.hex)]),
        })
    }
}

/// `REGISTRY/REPOSITORY@sha256:HEX` as the package URL of a container image,
/// after purl-spec's `oci` type: the name is the last part of the repository,
/// and `repository_url` says where it is from. A tag is dropped: it can be
/// moved, the digest cannot.
pub fn image(text: &str) -> Result<(String, Digest), CliError> {
    let refuse = || {
        CliError::usage(format!("\"{text}\" is no image by digest"))
            .next("write it as REGISTRY/REPOSITORY@sha256:HEX, e.g. ghcr.io/acme/app@sha256:...")
    };
    let (reference, digest) = text.rsplit_once('@').ok_or_else(refuse)?;
    let digest: Digest = digest
        .parse()
        .map_err(|e| CliError::usage(format!("image {text}: {e}")))?;
    let (parent, last) = reference.rsplit_once('/').ok_or_else(refuse)?;
    let name = last.split_once(':').map_or(last, |(name, _tag)| name);
    if parent.is_empty() || name.is_empty() {
        return Err(refuse());
    }
    let repository = format!("{parent}/{name}");
    let version = format!("{}:{}", digest.algorithm, digest.hex);
    let purl = Purl::build(
        "oci",
        None,
        name,
        Some(&version),
        [("repository_url", repository.as_str())],
        None,
    )
    .map_err(|e| CliError::usage(format!("image {text}: {e}")))?;
    Ok((purl.as_str().to_owned(), digest))
}

fn named(name: Option<&str>, digest: &str) -> Result<Subject, CliError> {
    let digest = digest
        .parse()
        .map_err(|e| CliError::usage(format!("subject: {e}")))?;
    let name = name.filter(|n| !n.is_empty()).map(str::to_owned);
    Ok(Subject::Named { name, digest })
}

fn is_hex_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn unknown_form(text: &str) -> CliError {
    let error = if text.starts_with("pkg:") {
        CliError::usage(format!(
            "subject {text} has no digest: a package is signed by its content"
        ))
    } else {
        CliError::usage(format!(
            "subject \"{text}\" is neither a file here nor a name with a digest"
        ))
    };
    error.next("write NAME@sha256:HEX, or the file itself with --purl to name it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(text: &str) -> (Option<String>, String) {
        let input = Subject::parse(text)
            .and_then(|s| s.resolve(None, false))
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        let (algorithm, hex) = input.digest.into_iter().next().expect("a digest");
        (input.name, format!("{algorithm}:{hex}"))
    }

    #[test]
    fn names_and_digests_are_told_apart() {
        let digest = format!("sha256:{HEX}");
        for name in [
            "app.tar.gz",
            "pkg:npm/left-pad@1.3.0",
            "pkg:npm/%40acme/pay",
            "localhost:5000/app",
        ] {
            assert_eq!(
                read(&format!("{name}@{digest}")),
                (Some(name.into()), digest.clone())
            );
            assert_eq!(
                read(&format!("{name}:{digest}")),
                (Some(name.into()), digest.clone())
            );
        }
        assert_eq!(read(&digest), (None, digest.clone()));
        assert_eq!(read(HEX), (None, digest));
    }

    #[test]
    fn a_test_subject_is_its_own_content() {
        let (name, digest) = read("test:verification");
        assert_eq!(name.as_deref(), Some("test:verification"));
        assert_eq!(
            digest,
            format!("sha256:{}", Sha256::of(b"test:verification").to_hex())
        );
    }

    #[test]
    fn a_file_is_digested_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.tar");
        std::fs::write(&path, b"abc").expect("written");
        let text = path.to_str().expect("UTF-8");
        assert_eq!(read(text), (Some("app.tar".into()), format!("sha256:{HEX}")));
        let named = Subject::parse(text)
            .and_then(|s| s.resolve(Some("pkg:generic/app@1"), false))
            .expect("resolved");
        assert_eq!(named.name.as_deref(), Some("pkg:generic/app@1"));
    }

    #[test]
    fn what_is_no_subject_says_how_to_write_one() {
        for bad in [
            "",
            "nothing-here",
            "pkg:npm/left-pad@1.3.0",
            "test:",
            "x@sha256:abc",
            "x:md5:abc",
        ] {
            let error = Subject::parse(bad).expect_err(bad);
            assert_eq!(error.exit, crate::exit::Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn an_image_becomes_its_package_url() {
        let (purl, digest) = image(&format!("ghcr.io/acme/Team/app:v1@sha256:{HEX}")).expect("an image");
        assert_eq!(
            purl,
            format!("pkg:oci/app@sha256:{HEX}?repository_url=ghcr.io%2Facme%2FTeam%2Fapp")
        );
        assert_eq!(digest.hex, HEX);
        for bad in [
            "app",
            "ghcr.io/app:v1",
            "app@sha256:00",
            "app@sha1:00",
            "/app@sha256:00",
        ] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }
}
